# What the guest of cell61_test.py does: a cell of two nodes on Debian's kernel. Runs under bash in a
# Debian root of its own; COGNU_BUILD is set before it, and the folder is the project's.
# shellcheck disable=SC2016 # lines in single quotes are for the nodes

check() {
    name=$1
    shift
    if eval "$*" >/tmp/out 2>&1; then
        echo "CHECK ok $name"
    else
        echo "CHECK bad $name: $(head -c 600 /tmp/out | tr '\n' '|')"
    fi
}

run() {
    timeout 60 scripts/cell run "$@" </dev/null
}

is() {
    [ "$1" = "$2" ] || { echo "got '$1', wanted '$2'"; return 1; }
}

# The gate of a node, as a process of the guest.
gate_of() {
    pgrep -f "cognu-gate --self $1 "
}

export COGNU_STATE=/var/tmp/state COGNU_NODES='alpha beta'
uname -r
check starts 'timeout 150 scripts/cell up && is "$(scripts/cell status | grep -c running)" 2'
check is-one-cell 'is "$(run "ls /n | xargs")" "alpha beta" && run nodes | grep -q "^beta "'
check mounts-by-fuse 'run "grep -c \" fuse\" /proc/mounts"'
check writes-and-reads 'is "$(run "echo here > /root/x; cat /root/x")" here'
check writes-to-the-other 'is "$(run "echo there > /n/beta/root/letter; cat /n/beta/root/letter")" there'
check is-read-on-the-other 'is "$(run -n beta "cat /root/letter")" there'
check copies-much 'run "head -c 8M /dev/urandom > /tmp/big; cp /tmp/big /n/beta/root/big; cmp /tmp/big /n/beta/root/big; rm /n/beta/root/big"'
check lists-many 'is "$(run "mkdir /n/beta/root/many; cd /n/beta/root/many; touch \$(seq 300); ls | wc -l; cd /; rm -r /n/beta/root/many")" 300'
check renames 'is "$(run "mv /n/beta/root/letter /n/beta/root/moved; ls /n/beta/root")" moved'
check maps-files 'run "cp /usr/bin/true /root/true && /root/true"'
check binds 'is "$(run "mkdir -p /tmp/t; bind /usr/bin /tmp/t; ls /tmp/t/bash; ns | grep \"^bind /usr/bin\"; unmount /tmp/t; ls /tmp/t" | xargs)" "/tmp/t/bash bind /usr/bin /tmp/t"'
check sees-processes 'run "ps beta" | grep -q cognu-init'
check runs-on-the-other 'is "$(run "on beta hostname")" beta'
check tells-errors 'is "$(run "cat /n/beta/root/none 2>&1")" "cat: /n/beta/root/none: No such file or directory"'

# Each node's gate is killed while the other writes through it: both sessions resume, no write is lost or doubled.
for victim in beta alpha; do
    check "resumes-after-the-gate-of-$victim-died" '
        run "for i in \$(seq 40); do echo \$i >> /n/beta/root/log-$victim || echo failed \$i; sleep 0.1; done" & writer=$!
        sleep 2; kill -9 $(gate_of $victim) && wait $writer && is "$(run -n beta "cat /root/log-$victim" | xargs)" "$(seq 40 | xargs)"'
done
check is-locked-across 'run "flock /n/beta/root/moved sleep 6 & sleep 3; ! flock -n /n/beta/root/moved true; r=\$?; wait; exit \$r"'
check stops 'scripts/cell clean && [ ! -e "$COGNU_STATE" ] && ! pgrep cognu-'
