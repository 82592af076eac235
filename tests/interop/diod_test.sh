#!/bin/bash
# Debian's diod clients (diodcat, diodls) read trees of ours over 9P2000.L: hostfs and ramfs.
#
#   COGNU_BUILD=DIR tests/interop/diod_test.sh
#
# Exits with 77 where they are not installed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
export PYTHONDONTWRITEBYTECODE=1 PATH=$PATH:/usr/sbin COGNU_LOG=${COGNU_LOG:-warn}
for tool in diodcat diodls python3; do
    command -v $tool >/dev/null || {
        echo "skipped: $tool is not installed (scripts/setup check)"
        exit 77
    }
done
build=$(realpath "${COGNU_BUILD:-build}")
temp=$(mktemp -d)
mkdir "$temp/tree"
passed=0 failed=0 server=

finish() {
    [ -z "$server" ] || kill "$server"
    wait
    rm -rf "$temp"
}
trap finish EXIT

# is WHAT WANTED GOT
is() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $kind: $1: wanted '$2', got '$3'"
    fi
}

# A tree of ours at $port, filled, whose name for clients is $tree.
serve() {
    kind=$1 tree=$2
    port=$(python3 -c 'import ours; print(ours.free_port())')
    case $kind in
    hostfs) set -- --tree "$tree=$temp/tree" ;;
    ramfs) set -- ;;
    esac
    "$build/bin/cognu-$kind" "$@" --plaintext-tcp "127.0.0.1:$port" --plaintext-uid "$(id -u)" &
    server=$!
    python3 - "$kind" "$port" "$temp/tree" <<'END' || exit 1
import sys
import ours
kind, port, root = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ours.wait_for_port(port)
if kind == "hostfs":
    ours.write_files(root, ours.sample_files())
else:
    ours.send_files(port, ours.sample_files())
END
}

dcat() {
    diodcat -s "127.0.0.1:$port" -a "$tree" "$@" 2>&1
}

dls() {
    diodls -s "127.0.0.1:$port" -a "$tree" "$@" 2>&1
}

use() {
    serve "$1" "$2"
    is "a small file" "hello from the host" "$(dcat hello)"
    is "a large file" "$(dcat big.md5)" "$(dcat big | md5sum)"
    is "it is whole" 3145728 "$(dcat big | wc -c)"
    is "a small msize" "$(dcat big.md5)" "$(dcat -m 4096 big | md5sum)"
    is "a file in a folder" 499 "$(dcat many/file499)"
    is "a missing file" 1 "$(dcat none | grep -c 'No such file')"
    is "its status" 1 "$(dcat none >/dev/null; echo $?)"
    is "a folder is not read as a file" 1 "$(dcat many | grep -c 'Is a directory')"
    is "the names" "big big.md5 hello many" "$(dls | tr ' ' '\n' | sort | xargs)"
    is "the attributes" "-rw-r--r--. 3145728" "$(dls -l | awk '$NF == "big" {print $1, $(NF - 4)}')"
    is "many entries" 500 "$(dls many | wc -w)"
    is "each once" 500 "$(dls many | tr -s ' ' '\n' | sort -u | grep -c .)"
    is "an unknown tree" 1 "$(tree=nosuch; dcat hello | grep -c .)"
    kill "$server"
    wait "$server"
    server=
}

cd "$here" && umask 022
use hostfs root
use ramfs /
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
