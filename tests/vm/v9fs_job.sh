# What the guest of v9fs_test.py does with a tree of ours at /m. Runs under busybox's shell; MOUNT is
# set before it. Each check is one line: its name, and a command that must succeed.

check() {
    name=$1
    shift
    if eval "$*" >/tmp/out 2>&1; then
        echo "CHECK ok $name"
    else
        echo "CHECK bad $name: $(head -c 300 /tmp/out | tr '\n' '|')"
    fi
}

mkdir -p /m
check mounts '$MOUNT /m'
check reads '[ "$(cat /m/hello)" = "hello from the host" ]'
check reads-large '[ "$(md5sum < /m/big)" = "$(cat /m/big.md5)" ]'
check lists '[ "$(ls /m/many | wc -l)" = 500 ]'
check lists-itself '[ "$(ls -a /m/many | head -n 2 | tr "\n" " ")" = ". .. " ]'
check knows-parents '[ "$(ls -aid /m/many/.. | awk "{print \$1}")" = "$(ls -aid /m | awk "{print \$1}")" ]'
check counts-dot-and-dotdot 'ls -ai /m/many | awk "NR == 1 {d = \$1} NR == 2 {u = \$1} END {exit d == u}"'

check writes 'echo "written by v9fs" > /m/out && [ "$(cat /m/out)" = "written by v9fs" ]'
check appends 'echo one > /m/log && echo two >> /m/log && [ "$(cat /m/log)" = "one
two" ]'
check appends-behind-another 'exec 5>> /m/log && echo three >> /m/log && echo four >&5 && exec 5>&- && [ "$(tail -n 1 /m/log)" = four ] && [ "$(wc -l < /m/log)" = 4 ]'
check truncates 'echo longer than that > /m/log && echo x > /m/log && [ "$(cat /m/log)" = x ]'
check sets-size 'truncate -s 100000 /m/log && [ "$(stat -c %s /m/log)" = 100000 ]'
check writes-large 'dd if=/m/big of=/m/copy bs=64k conv=fsync && cmp /m/big /m/copy'
check writes-synchronously '/usr/bin/dd if=/m/big of=/m/copy bs=256k oflag=sync conv=notrunc && cmp /m/big /m/copy'
check seeks 'dd if=/m/big bs=1 skip=1000000 count=10 of=/tmp/a && dd if=/m/copy bs=1 skip=1000000 count=10 of=/tmp/b && cmp /tmp/a /tmp/b'
check keeps-holes 'dd if=/dev/zero of=/m/hole bs=1 count=1 seek=10000000 && [ "$(stat -c %s /m/hole)" = 10000001 ]'

check makes-folders 'mkdir -p /m/d/e/f && [ -d /m/d/e/f ]'
check renames 'mv /m/out /m/d/moved && [ -f /m/d/moved ] && [ ! -e /m/out ]'
check renames-over-another 'echo new > /m/new && echo old > /m/old && mv /m/new /m/old && [ "$(cat /m/old)" = new ]'
check renames-folders 'mv /m/d/e /m/e && echo deep > /m/e/f/g && rm /m/e/f/g && rmdir /m/e/f /m/e'
check links 'ln /m/d/moved /m/d/hard && [ "$(stat -c %h /m/d/hard)" = 2 ] && [ "$(stat -c %i /m/d/hard)" = "$(stat -c %i /m/d/moved)" ]'
check links-stay 'rm /m/d/hard && [ "$(stat -c %h /m/d/moved)" = 1 ] && [ "$(cat /m/d/moved)" = "written by v9fs" ]'
check symlinks 'ln -s moved /m/d/link && [ "$(readlink /m/d/link)" = moved ] && [ "$(cat /m/d/link)" = "written by v9fs" ]'
check makes-fifos 'mkfifo /m/d/fifo && [ -p /m/d/fifo ] && { echo through > /m/d/fifo & } && [ "$(cat /m/d/fifo)" = through ]'
check chmod 'chmod 2750 /m/d/moved && [ "$(stat -c %a /m/d/moved)" = 2750 ]'
check chown 'chown 12:34 /m/d/moved && [ "$(stat -c %u:%g /m/d/moved)" = 12:34 ]'
check sets-times 'touch -d "2001-02-03 04:05:06" /m/d/moved && [ "$(stat -c %Y /m/d/moved)" = 981173106 ]'
check touches 'touch /m/d/moved && [ "$(stat -c %Y /m/d/moved)" -gt 1000000000 ]'
check statfs 'df -k /m | tail -n 1 | awk "{exit !(\$2 > 0)}"'

check unlinked-files-live 'echo alive > /m/gone && exec 6<> /m/gone && rm /m/gone && [ ! -e /m/gone ] && echo more >&6 && exec 6<&-'
check unlinked-files-are-read 'echo alive > /m/gone && exec 6< /m/gone && rm /m/gone && [ "$(cat <&6)" = alive ] && exec 6<&-'
check removes 'rm /m/copy && [ ! -e /m/copy ]'
check refuses-full-rmdir '! rmdir /m/d 2> /tmp/why && grep -q "not empty" /tmp/why'
check refuses-missing '! cat /m/none 2> /tmp/why && grep -q "No such file" /tmp/why'
check refuses-mkdir-twice '! mkdir /m/d 2> /tmp/why && grep -q "exists" /tmp/why'
check refuses-long-names '! touch "/m/$(head -c 300 /dev/zero | tr "\0" x)" 2> /tmp/why && grep -q "too long" /tmp/why'
check takes-longest-names 'n=/m/$(head -c 255 /dev/zero | tr "\0" y); echo 1 > "$n" && [ "$(cat "$n")" = 1 ] && rm "$n"'
check removes-trees 'mkdir -p /m/t/1/2/3 && for i in $(seq 200); do echo > /m/t/1/2/f$i; done && rm -r /m/t && [ ! -e /m/t ]'

check xattr-is-set 'setfattr -n user.color -v green /m/d/moved && [ "$(getfattr --only-values -n user.color /m/d/moved)" = green ]'
check xattr-is-listed '[ "$(getfattr /m/d/moved 2> /dev/null | grep -c user.color)" = 1 ]'
check xattr-may-be-empty 'setfattr -n user.none /m/d/moved && getfattr -n user.none /m/d/moved'
check xattr-is-removed 'setfattr -x user.color /m/d/moved && ! getfattr -n user.color /m/d/moved && getfattr -n user.none /m/d/moved'

# The kernel tells the server which process locked, and lets go when that process ends: so flock runs until release.
hold() {
    rm -f /tmp/held /tmp/go /tmp/released
    /usr/bin/flock "$@" sh -c 'echo > /tmp/held; until [ -e /tmp/go ]; do sleep 0.1; done; echo > /tmp/released' &
    until [ -e /tmp/held ]; do sleep 0.1; done
}

release() {
    echo >/tmp/go
    wait
}

try='/usr/bin/flock -n'
check locks-exclude 'hold /m/d/moved; ! $try /m/d/moved true && release && $try /m/d/moved true'
check locks-between-mounts 'mkdir -p /m2 && $MOUNT /m2 && hold /m/d/moved; ! $try /m2/d/moved true && release && $try /m2/d/moved true'
check locks-are-shared 'hold -s /m/d/moved; $try -s /m2/d/moved true && ! $try /m2/d/moved true && release'
check waits-for-locks 'hold /m/d/moved; { /usr/bin/flock /m2/d/moved test -e /tmp/released && echo > /tmp/got; } & sleep 1; release; [ -e /tmp/got ]'
check interrupts-waits 'hold /m/d/moved; timeout 1 /usr/bin/flock /m2/d/moved touch /tmp/never; release; [ ! -e /tmp/never ] && $try /m2/d/moved true'
check sees-the-other-mount 'echo there > /m/d/seen && [ "$(cat /m2/d/seen)" = there ] && umount /m2'
check maps-memory 'umount /m && $MOUNT,cache=mmap /m && cmp /m/big /m/big && umount /m'
check caches '$MOUNT,cache=loose /m && cp /m/big /m/loose && sync && umount /m && $MOUNT /m && cmp /m/big /m/loose'
check unmounts 'umount /m'
