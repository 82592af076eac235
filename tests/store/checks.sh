# What the scripts of this folder and of tests/active check with; to be sourced once $top is a folder of the script's own.
passed=0 failed=0
check() { # WHAT COMMAND...
    what=$1
    shift
    if "$@" > "$top/out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what"
        sed 's/^/    /' "$top/out"
    fi
}
is() { [ "$1" = "$2" ] || { printf 'got:\n%s\nwanted:\n%s\n' "$1" "$2"; false; }; }
wait_for() { for _ in $(seq 600); do "$@" 2> /dev/null && return 0; sleep 0.1; done; return 1; }
