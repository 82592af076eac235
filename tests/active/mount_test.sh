#!/bin/bash
# The active tree as a user has it: `store mount --active`, what POSIX asks, snapshots while programs write; its server and its adapter
# killed at random instants, which the mount survives, and all of the mount killed: what fsync has answered is there.
set -u
build=${COGNU_BUILD:-build}
[ -w /dev/fuse ] && [ "$(id -u)" -eq 0 ] || { echo "no right to mount"; exit 77; }
here=$(cd "$(dirname "$0")" && pwd)
top=$(mktemp -d "${TMPDIR:-/tmp}/active-mount-test.XXXXXX")
chmod 755 "$top"
export COGNU_STORE=$top/s COGNU_STORE_PASSPHRASE_FILE=$top/pass
. "$here/../store/checks.sh"
pid= writer=
clean() {
    [ -z "$writer" ] || kill "$writer" 2> /dev/null
    [ -z "$pid" ] || kill "$pid" 2> /dev/null
    umount -l "$top/m" 2> /dev/null
    rm -rf "$top"
}
trap clean EXIT
mount_it() {
    "$build/commands/store" mount --active "$top/m" > "$top/log" 2>&1 &
    pid=$!
    wait_for test -d "$top/m/active" || { cat "$top/log"; false; }
}
unmount_it() {
    umount "$top/m" && wait_for sh -c "! kill -0 $pid" && pid=
}
snap() { "$build/commands/store" snap "$1" "$top/m"; }
# Writes files one after the other, says which it has synced, and goes on in the next: N. One that fails is tried again.
write_synced() {
    exec python3 - "$top/m/active/synced" "$top/acked" "$1" << 'END'
import os, sys, time
folder, acked, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
if not os.path.isdir(folder):
    os.mkdir(folder)  # not its parents: the mount may be gone
def write(i):
    fd = os.open(f"{folder}/f{i % 400}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    try:
        os.write(fd, (b"%08d" % i) * (1 + i % 3000))
        os.fsync(fd)
    finally:
        os.close(fd)
with open(acked, "a") as log:
    for i in range(first, first + 100000):
        while True:
            try:
                write(i)
                break
            except OSError:  # its outcome is not known, or nobody is there
                time.sleep(0.05)
        log.write(f"{i}\n")
        log.flush()
END
}
# Each file holds what was synced last, or what was being written after it.
synced_is_there() {
    python3 - "$top/m/active/synced" "$top/acked" << 'END'
import os, sys
folder, acked = sys.argv[1:]
done = [int(line) for line in open(acked)]
last = {i % 400: i for i in done}
known = set(done)
being_written = {(i + 1) % 400 for i in done if i + 1 not in known}
for slot, i in last.items():
    text = open(f"{folder}/f{slot}", "rb").read()
    want = (b"%08d" % i) * (1 + i % 3000)
    if slot in being_written:
        continue  # when the server was killed
    assert text == want, f"f{slot}: {len(text)} bytes, {text[:16]}, and {i} was synced with {len(want)} bytes"
print(f"{len(done)} syncs, {len(last)} files")
END
}

echo secret > "$top/pass"
mkdir "$top/m"
"$build/commands/store" -q init > /dev/null
check "it is mounted" mount_it
check "what POSIX asks" python3 "$here/posix.py" "$top/m/active"
check "a second mount is refused" sh -c "mkdir -p '$top/m2'; ! '$build/commands/store' mount --active '$top/m2'"
cp -r docs lib/store "$top/m/active/"
check "what was copied is there" diff -r lib/store "$top/m/active/store"
check "a snapshot is taken" snap first
rm -r "$top/m/active/store"
check "it shows the tree as it was" diff -r lib/store "$top/m/snap/first/store"
check "a name that is none is refused" sh -c "! '$build/commands/store' snap a/b '$top/m'"
(while [ ! -e "$top/stop" ]; do cp -r lib/store "$top/m/active/copy.$RANDOM" || exit; done) &
writer=$!
check "a snapshot while others write" snap second
check "another" snap third
touch "$top/stop"
check "the writer has written on" wait "$writer"
writer=
check "it is unmounted" unmount_it
check "the store is whole" "$build/commands/store" check --data
check "nothing is left to be committed" test -z "$(ls "$top/s/journal")"
some_time() { sleep $((1 + RANDOM % 2)).$((RANDOM % 10)); }
stop_writer() {
    kill "$writer"
    wait "$writer" 2> /dev/null
    writer=
}
server() { pgrep -P "$pid" cognu-storefs; }
# Kills one of the mount's two programs and waits for the next, and for its first answer.
kill_part() { # PROGRAM
    local killed
    killed=$(pgrep -P "$pid" "$1") && kill -9 "$killed" && wait_for sh -c "pgrep -P $pid $1 | grep -qvx $killed" &&
        wait_for test -d "$top/m/active/synced"
}
check "it is mounted again" mount_it
write_synced 10000 > "$top/writer" 2>&1 &
writer=$!
wait_for test -s "$top/acked"
exec 7> "$top/m/active/stays"
for round in 1 2 3; do
    some_time
    [ "$round" -ne 2 ] || snap killed > /dev/null 2>&1 &
    for part in storefs fuse; do
        check "its $part is killed, and another goes on ($round)" kill_part "cognu-$part"
        before=$(wc -l < "$top/acked")
        check "a file that was open is open still ($part, $round)" sh -c "echo $round $part >&7"
        check "who writes goes on ($part, $round)" wait_for sh -c "[ \$(wc -l < '$top/acked') -gt $before ]"
    done
done
exec 7>&-
stop_writer
check "what was synced is there on the same mount" synced_is_there
check "and what was written to the open file" is "$(xargs < "$top/m/active/stays")" \
    "1 storefs 1 fuse 2 storefs 2 fuse 3 storefs 3 fuse"
check "it is unmounted again" unmount_it
check "the store is whole again" "$build/commands/store" check --data
for round in 1 2 3; do
    check "it is mounted after that ($round)" mount_it
    check "what was synced is there ($round)" synced_is_there
    write_synced $((round * 100000)) > "$top/writer" 2>&1 &
    writer=$!
    some_time
    [ "$round" -ne 2 ] || snap killed2 > /dev/null 2>&1 &
    left=$(tr '\0' ' ' < "/proc/$(pgrep -P "$pid" cognu-fuse)/cmdline" | sed 's/.*--srv \([^ ]*\).*/\1/')
    kill -9 "$pid" $(pgrep -P "$pid")
    wait "$pid" 2> /dev/null
    rm -rf "$left"
    stop_writer
    umount -l "$top/m" 2> /dev/null
    pid=
done
check "it is mounted at last" mount_it
check "what was synced is there" synced_is_there
kill -TERM "$(server)"
check "a server that is asked to end ends the mount" wait_for sh -c "! kill -0 $pid"
pid=
check "the store is whole at last" "$build/commands/store" check --data
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
