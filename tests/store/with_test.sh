#!/bin/bash
# `store with`: an old library in the place of today's, and a program built anew with it.
set -u
[ -w /dev/fuse ] && [ "$(id -u)" -eq 0 ] || { echo "no right to mount"; exit 77; }
# In a mount namespace of its own, where nothing else comes and goes.
[ "${1:-}" = apart ] || exec unshare -m bash "$0" apart
build=$(realpath "${COGNU_BUILD:-build}")
top=$(mktemp -d "${TMPDIR:-/tmp}/store-with-test.XXXXXX")
trap 'rm -rf "$top"' EXIT
export COGNU_STORE=$top/s COGNU_STORE_PASSPHRASE_FILE=$top/pass
store() { "$build/commands/store" -q "$@"; }
. "$(dirname "$0")/checks.sh"
status() { "$@" 2> "$top/said"; echo $?; }

mounts() { grep -c "store-mount-.*/m" /proc/mounts; }
before=$(mounts)
echo secret > "$top/pass"
mkdir -p "$top/p/lib"
cd "$top/p" || exit 1
echo 'int answer(void);
int main(void) { return answer(); }' > main.c
echo 'int answer(void) { return 41; }' > lib/answer.c
store init > /dev/null
store put src .
old=$("$build/commands/store" snap src | cut -d' ' -f1)
sleep 1.1
echo 'int answer(void) { return 42; }' > lib/answer.c
store put src .

cc -o today main.c lib/answer.c
check "today's library is today's" is "$(status ./today)" 42
check "the old library alone is bound, and the program built anew" store with "$old:lib" lib -- cc -o then main.c lib/answer.c
check "it has the old library in it" is "$(status ./then)" 41
check "who is outside sees today's" grep -q 42 lib/answer.c
check "one file can be bound" is "$(store with "$old:lib/answer.c" lib/answer.c -- grep -o 41 lib/answer.c 2> /dev/null)" 41
check "from within the place itself too" is "$(cd lib && store with "$old:lib" . -- grep -o 41 answer.c 2> /dev/null)" 41
check "the past is not written to" is "$(status store with "$old:lib" lib -- touch lib/new)$(grep -c Read-only "$top/said")" 11
check "the status is the command's" is "$(status store with src lib -- sh -c 'exit 7')" 7
check "a command that is not there" is "$(status store with src lib -- ./none)" 127
check "a path that the snapshot does not have" is "$(status store with "$old:none" lib -- true)$(grep -c 'not in this snapshot' "$top/said")" 11
check "a place that is not there" is "$(status store with "$old:lib" none -- true)$(grep -c 'No such file' "$top/said")" 11
check "a call without a command" is "$(status store with "$old:lib" lib)" 2
killed() { store with "$old:lib" lib -- sh -c "pkill -9 -P \$PPID $1; grep -o 41 lib/answer.c" 2> /dev/null; }
check "the file server may be killed meanwhile" is "$(killed cognu-storefs)" 41
check "and the adapter" is "$(killed cognu-fuse)" 41
check "nothing stays mounted" is "$(mounts)" "$before"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
