#!/bin/sh
# Smoke test of the codec and the loop: the null file system, mounted and used by ordinary programs.
# Needs root (or a user namespace in which /dev/fuse may be mounted); without it, it is skipped.
build=${COGNU_BUILD:-build}
dir=$(mktemp -d /tmp/cognu-nullfs.XXXXXX)
passed=0 failed=0

check() { # NAME COMMAND...
    name=$1
    shift
    if "$@" >"$dir/out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
        sed 's/^/    /' "$dir/out"
    fi
}

is() { [ "$1" = "$2" ] || { echo "«$1» is not «$2»"; return 1; }; }

finish() {
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    umount "$dir/m" 2>/dev/null
    rm -rf "$dir"
}

if [ ! -c /dev/fuse ] || [ "$(id -u)" != 0 ]; then
    echo "skipped: needs root and /dev/fuse"
    echo "0 passed, 0 failed"
    exit 0
fi
mkdir "$dir/m"
"$build/bin/cognu-nullfs" "$dir/m" &
server=$!
trap finish EXIT
for i in $(seq 50); do
    grep -q " $dir/m " /proc/mounts && break
    sleep 0.1
done
m=$dir/m
check "mounted" grep -q " $m fuse.cognu " /proc/mounts
check "empty root" is "$(ls -A "$m")" ""
check "mkdir" mkdir "$m/d"
check "create and write" sh -c "echo hello > $m/d/f"
check "size" is "$(stat -c %s "$m/d/f")" 6
check "contents are zeros" is "$(tr -d '\0' <"$m/d/f" | wc -c)" 0
check "a name that is not there" sh -c "! cat $m/d/g"
check "long listing" is "$(ls -l "$m/d" | grep -c f)" 1
check "rename" mv "$m/d/f" "$m/d/g"
check "renamed" is "$(ls "$m/d")" g
check "not empty" sh -c "! rmdir $m/d"
check "64 MiB" dd if=/dev/zero of="$m/big" bs=1M count=64
check "read them" is "$(wc -c <"$m/big")" 67108864
check "direct" dd if="$m/big" of=/dev/null bs=1M iflag=direct
check "many names" sh -c "cd $m/d && seq 2000 | xargs touch"
check "listed" is "$(ls "$m/d" | wc -l)" 2001
check "rm -r" rm -r "$m/d"
kill -TERM "$server"
wait "$server"
check "ends with status 0" is "$?" 0
check "unmounted" sh -c "! grep -q ' $m ' /proc/mounts"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
