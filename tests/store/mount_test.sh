#!/bin/bash
# `store mount`, `history` and `diff`, as a user has them: a tree in a mount is the tree that was put.
set -u
build=${COGNU_BUILD:-build}
[ -w /dev/fuse ] && [ "$(id -u)" -eq 0 ] || { echo "no right to mount"; exit 77; }
top=$(mktemp -d "${TMPDIR:-/tmp}/store-mount-test.XXXXXX")
export COGNU_STORE=$top/s COGNU_STORE_PASSPHRASE_FILE=$top/pass
store() { "$build/commands/store" -q "$@"; }
. "$(dirname "$0")/checks.sh"
pid=
clean() {
    [ -z "$pid" ] || kill "$pid" 2> /dev/null
    umount -l "$top/m2/m" "$top/m" 2> /dev/null
    rm -rf "$top"
}
trap clean EXIT

echo secret > "$top/pass"
mkdir -p "$top/t/sub/deep" "$top/m"
cp -r docs lib/store "$top/t/"
for i in $(seq 1500); do echo "$i" > "$top/t/sub/file number $i"; done
ln "$top/t/docs/TOUR.md" "$top/t/linked"
ln -s docs/TOUR.md "$top/t/link"
truncate -s 1M "$top/t/hole"
head -c 3000000 /dev/urandom > "$top/t/big"
echo one > "$top/t/sub/a"
store init > /dev/null
store put home "$top/t"
old=$("$build/commands/store" snap home | awk 'NR == 1 { print $1 }')
cp -a "$top/t" "$top/was"
sleep 1.1
echo second > "$top/t/sub/a"
echo new > "$top/t/sub/deep/n"
rm "$top/t/docs/sdk.md"
chmod 600 "$top/t/big"
store put home "$top/t"

check "history tells each version once" is "$(store history sub/a | awk '{ print $2 }' | xargs)" "4 7"
check "history tells when a file went" is "$(store history docs/sdk.md | awk '{ print $2 }' | tail -1)" gone
check "diff tells what came, went and changed" is "$(store diff "$old" home | grep -v '^a .*[^g]$' | sort | xargs)" \
    "+ sub/deep/n - docs/sdk.md M sub/a a big"
check "diff of one snapshot with itself tells nothing" is "$(store diff home home)" ""

"$build/commands/store" mount "$top/m" > "$top/log" 2>&1 &
pid=$!
check "it is mounted" wait_for test -d "$top/m/snap/home"
check "the newest is what was put last" diff -r --no-dereference "$top/t" "$top/m/snap/home"
check "the old one is what was put first" diff -r --no-dereference "$top/was" "$top/m/snap/$old"
# Little by little in any order: the kernel is given whole blocks, the last of them not whole.
cat > "$top/random.py" <<'EOP'
import os, random, sys
want = open(sys.argv[1], "rb").read()
for seed in range(4):
    fd = os.open(sys.argv[2], os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    chance = random.Random(seed)
    for _ in range(1500):
        at, n = chance.randrange(len(want) + 5000), chance.choice((1, 100, 4096, 70000))
        if os.pread(fd, n, at) != want[at:at + n]:
            sys.exit(f"seed {seed}: {n} bytes at {at}")
    os.close(fd)
EOP
check "a file that is read at random is what was put" python3 "$top/random.py" "$top/t/big" "$top/m/snap/home/big"
check "a link's target is there" is "$(readlink "$top/m/snap/home/link")" docs/TOUR.md
check "two names are one file" test "$top/m/snap/home/linked" -ef "$top/m/snap/home/docs/TOUR.md"
check "nothing can be written" is "$(touch "$top/m/snap/home/x" 2>&1 | grep -c 'Read-only')" 1
check "a snapshot that is made meanwhile is there" sh -c "'$build/commands/store' -q put again '$top/t' && test -f '$top/m/snap/again/hole'"
mkdir -p "$top/m2/m" && echo beside > "$top/m2/beside"
mount --bind "$top/m" "$top/m2/m"
check "what is mounted below stays out with -x" sh -c "'$build/commands/store' -q -x put around '$top/m2' && [ -d '$top/m/snap/around/m' ] &&
    [ -z \"\$(ls '$top/m/snap/around/m')\" ] && [ -f '$top/m/snap/around/beside' ]"
umount "$top/m2/m"
check "it is unmounted" umount "$top/m"
check "and has ended by itself" wait_for sh -c "! kill -0 $pid"
pid=
"$build/commands/store" mount "$top/m" > "$top/log" 2>&1 &
pid=$!
check "it is mounted again" wait_for test -d "$top/m/snap/home"
kill -INT "$pid"
check "an interrupt ends it" wait_for sh -c "! kill -0 $pid"
check "and unmounts" sh -c "! mountpoint -q '$top/m'"
echo wrong > "$top/pass"
check "a wrong passphrase is refused" sh -c "! '$build/commands/store' mount '$top/m'"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
