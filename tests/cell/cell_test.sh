#!/bin/sh
# A whole cell on this machine: it starts, its nodes are one cell, files and processes of one are seen
# from another, what dies comes back, and after down nothing is left.
#
#   COGNU_BUILD=DIR tests/cell/cell_test.sh
# shellcheck disable=SC2016 # lines in single quotes are for the nodes
set -u

here=$(cd "$(dirname "$0")/../.." && pwd)
cell=$here/scripts/cell
temp=$(mktemp -d)
export COGNU_STATE="$temp/state"
: "${COGNU_BUILD:=$here/build}"
export COGNU_BUILD
passed=0
failed=0
trap '"$cell" down >/dev/null 2>&1; rm -rf "$temp"' EXIT

ok() {
    passed=$((passed + 1))
}

bad() {
    failed=$((failed + 1))
    echo "FAILED: $*"
}

# is WHAT EXPECTED COMMAND...: the command's output is EXPECTED.
is() {
    what=$1
    want=$2
    shift 2
    got=$("$@" 2>&1)
    if [ "$got" = "$want" ]; then
        ok
    else
        bad "$what: wanted '$want', got '$got'"
    fi
}

# there WHAT PATTERN COMMAND...: the command's output has a line that fits PATTERN.
there() {
    what=$1
    want=$2
    shift 2
    got=$("$@" 2>&1)
    if printf '%s\n' "$got" | grep -q -e "$want"; then
        ok
    else
        bad "$what: no line '$want' in '$got'"
    fi
}

run() {
    "$cell" run "$@" </dev/null
}

"$cell" up || {
    echo "FAILED: up"
    exit 1
}
is "three nodes run" 3 sh -c "'$cell' status | grep -c running"
is "a second up joins" "" "$cell" up
is "a line is run" hello run 'echo hello'
is "its status is kept" 7 sh -c "'$cell' run 'exit 7'; echo \$?"
is "a node is chosen" beta run -n beta hostname
is "the nodes see each other" "alpha beta gamma" run 'echo $(ls /n)'
there "they are one cell" '^gamma ' run 'nodes'

is "a file goes to another node" "from alpha" run \
    'echo from alpha > /n/beta/root/letter; cat /n/beta/root/letter'
is "and is a file there" "from alpha" run -n beta 'cat /root/letter'
there "its processes are seen" 'cognu-init' run 'ps beta'
there "and end by a word from here" 'signal 15\|Terminated\|143' run \
    'sleep 60 & p=$!; kill alpha/$p; wait $p; echo $?'
there "a command runs there" beta run 'on beta hostname'

there "bind shows one place at another" bin run 'mkdir -p /tmp/t; bind /usr /tmp/t; ls /tmp/t'
there "the namespace tells" '^bind /usr /tmp/t$' run 'mkdir -p /tmp/t; bind /usr /tmp/t; ns'
is "unmount takes it back" "" run 'mkdir -p /tmp/t; bind /usr /tmp/t; unmount /tmp/t; ls /tmp/t'
is "a new namespace is apart" "" run 'mkdir -p /tmp/t; newns bind /usr /tmp/t; ls /tmp/t'
there "import shows another's folder" letter run 'import beta /root /mnt/b; ls /mnt/b'
there "an error has its text" 'dvorak' run 'mount .!dvorak /tmp/x; ls /tmp/x || why'
there "an unknown node is told" 'the cell has no node of that name' run 'on delta ls'
there "and a process that is none" 'beta/999999: no such process' run 'kill beta/999999'
is "the pages of the commands are there" /cognu/man/man1/bind.1 run 'ls /cognu/man/man1/bind.1'
there "outside of a namespace it is said" 'not in a Cognu namespace' "$COGNU_BUILD/commands/ns"

there "the components run" '^hostfs running' run 'cat /mnt/init/components'
there "one that is killed starts again" '^ramfs running [0-9]* [2-9]' run \
    'echo restart ramfs > /mnt/init/ctl
     for i in $(seq 100); do grep "^ramfs running [0-9]* [2-9]" /mnt/init/components && break; sleep 0.1; done'
there "its files serve on" hostname run 'echo hostname > /tmp/after; cat /tmp/after'
there "a wrong word is refused" 'nosuch' run 'echo stop nosuch > /mnt/init/ctl || why'

there "a request is followed through both gates" 'gate gate of beta' run \
    'trace touch /n/beta/root/followed'
there "to the file server" 'Tcreate server hostfs of beta' run 'trace touch /n/beta/root/followed2'
is "what is not followed leaves no steps" 0 run 'grep -vc "^[89a-f][0-9a-f]* " /n/beta/metrics/trace'
there "servers count their requests" '^cognu_9p_requests_total{component="hostfs",type="Twalk"} [1-9]' \
    run 'cat /n/beta/metrics/metrics'
there "and how long they took" '^cognu_9p_request_microseconds_bucket{component="hostfs",le="+Inf"} [1-9]' \
    run 'cat /n/beta/metrics/metrics'

inits=$(cat "$COGNU_STATE"/*/pid)
"$cell" down || bad "down"
is "all nodes are stopped" 3 sh -c "'$cell' status | grep -c stopped"
for pid in $inits; do
    if kill -0 "$pid" 2>/dev/null; then
        bad "process $pid is left"
    else
        ok
    fi
done
is "no links are left" "" sh -c 'ls /sys/class/net | grep ^to-'
is "no mounts are left" "" grep -F "$temp" /proc/self/mountinfo
is "no locks or processes are recorded" "" sh -c "ls '$COGNU_STATE'/cell/*.lock 2>/dev/null"

"$cell" up || bad "a second start"
is "state is kept" "from alpha" run -n beta 'cat /root/letter'
"$cell" clean
if [ ! -e "$COGNU_STATE" ]; then ok; else bad "clean left $COGNU_STATE"; fi
is "down of nothing is quiet" "" "$cell" down

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
