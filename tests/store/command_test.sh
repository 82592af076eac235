#!/bin/bash
# The command `store` from outside: every verb, on a tree with everything that a Unix file can be.
set -eu
build=${COGNU_BUILD:-build}
top=$(mktemp -d "${TMPDIR:-/tmp}/store-command.XXXXXX")
trap 'rm -rf "$top"' EXIT
passed=0 failed=0
export COGNU_STORE=$top/s COGNU_STORE_PASSPHRASE_FILE=$top/pass
store() { "$build/commands/store" -q "$@"; }
loud() { "$build/commands/store" "$@"; }
check() { # NAME COMMAND...
    if "${@:2}" > "$top/out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1"
        sed 's/^/    /' "$top/out" | head -20
    fi
}
refuses() { # TEXT COMMAND...: the command fails with status 1, and says TEXT
    local status=0
    "${@:2}" > "$top/said" 2>&1 || status=$?
    [ $status = 1 ] && grep -q -- "$1" "$top/said" || { cat "$top/said"; return 1; }
}
facts() { # of a tree: everything but ctime and inode numbers
    (cd "$1" && find . -printf '%y %m %U %G %s %T@ %n %l %p\n' | sed 's/^d \(.*\) [0-9]* \([0-9.]* [0-9]*\)  /d \1 \2  /' | sort -k8)
}
same_tree() {
    diff <(facts "$1") <(facts "$2") && diff -r --no-dereference --exclude=pipe "$1" "$2"
}

echo secret > "$top/pass"
echo other > "$top/pass2"
mkdir -p "$top/t/dir/deep" "$top/t/empty"
seq 1 50000 > "$top/t/numbers"
head -c 300000 /dev/urandom > "$top/t/dir/random"
printf small > "$top/t/dir/small"
: > "$top/t/dir/nothing"
ln "$top/t/numbers" "$top/t/dir/deep/linked"
ln -s ../numbers "$top/t/dir/relative"
ln -s /nowhere/at/all "$top/t/dir/dangling"
mkfifo "$top/t/pipe"
truncate -s 3M "$top/t/sparse"; printf end >> "$top/t/sparse"
chmod 4711 "$top/t/dir/small"; chmod 1777 "$top/t/empty"; chmod 600 "$top/t/dir/random"
touch -d '2001-02-03 04:05:06.123456789 UTC' "$top/t/dir/random" "$top/t/dir/deep"
touch -d '1969-12-31 23:59:58.5 UTC' "$top/t/dir/nothing"
name=$(printf 'odd \\ name\n with "quotes"'); printf odd > "$top/t/dir/$name"
touch "$top/t/$(printf '%0250d' 7)"
setfattr -n user.test -v value "$top/t/dir/small" 2> /dev/null || true

recovery=$(loud init --json | sed 's/.*"recovery_key":"\([^"]*\)".*/\1/')
check init test -n "$recovery" -a -f "$top/s/config"
check init_again refuses 'empty folder' store init
check put store put work "$top/t"
check get store get work "$top/r"
check same_tree same_tree "$top/t" "$top/r"
[ "$(stat -c %i "$top/r/numbers")" = "$(stat -c %i "$top/r/dir/deep/linked")" ] && links=yes || links=no
check hard_links test $links = yes
check one_thread store --threads 0 get work "$top/r1"
check one_thread_same same_tree "$top/r" "$top/r1"
cut_off() { # what cannot be written whole does not stay, and the restore ends
    local status=0
    (trap '' XFSZ; ulimit -f 64; exec "$build/commands/store" -q "$@" get work "$top/full") > "$top/said" 2>&1 || status=$?
    [ $status = 1 ] && grep -q 'linked: .*large' "$top/said" && [ -d "$top/full/dir/deep" ] &&
        [ ! -e "$top/full/dir/deep/linked" ] && rm -r "$top/full"
}
check cut_off cut_off
check cut_off_one_thread cut_off --threads 0
check holes test "$(stat -c %b "$top/r/sparse")" -lt 64
if getfattr -n user.test "$top/t/dir/small" > /dev/null 2>&1; then
    check xattr getfattr -n user.test "$top/r/dir/small"
fi
check nothing_new bash -c "'$build/commands/store' --json put work '$top/t' | grep -Eq '\"new_bytes\":[0-9]{1,3},'"
check cat bash -c "'$build/commands/store' cat work:numbers | cmp - '$top/t/numbers'"
check cat_directory refuses 'not a file' store cat work:dir
check ls bash -c "'$build/commands/store' ls -l work:dir | grep -q 'relative -> ../numbers'"
check find bash -c "'$build/commands/store' find 'small' | grep -q '/dir/small'"
check find_nothing bash -c "! '$build/commands/store' find 'no-such-name'"
check no_such_file refuses 'not in this snapshot' store cat work:none
check dots refuses 'no name in a tree' store cat work:../x
check no_such_snapshot refuses 'no such snapshot' store get nothing "$top/x"

before=$(loud snap | tail -1 | cut -d' ' -f1)
sleep 1.1 # names of snapshots count seconds
seq 1 60000 > "$top/t/numbers"
rm "$top/t/dir/random"
check put_second store put --exclude 'lin*' --exclude '/dir/dangling' work "$top/t"
check excluded refuses 'not in this snapshot' store cat work:dir/deep/linked
printf '# what is not wanted\n\nlin*\n/dir/dangling\n' > "$top/patterns"
check exclude_from bash -c "'$build/commands/store' --json put -n --exclude-from '$top/patterns' work '$top/t' > '$top/a' &&
    '$build/commands/store' --json put -n --exclude 'lin*' --exclude '/dir/dangling' work '$top/t' > '$top/b' &&
    diff <(sed 's/,.seconds.*//' '$top/a') <(sed 's/,.seconds.*//' '$top/b')"
if [ "$(id -u)" = 0 ] && mkdir "$top/dev" && mknod "$top/dev/zero" c 1 5 2> /dev/null; then
    check no_devices bash -c "'$build/commands/store' -q put dev '$top/dev' && [ -z \"\$('$build/commands/store' ls dev)\" ]"
    check devices bash -c "'$build/commands/store' -q --devices put dev '$top/dev' && '$build/commands/store' -q --devices get dev '$top/dev2' &&
        [ \"\$(stat -c '%F %t %T' '$top/dev2/zero')\" = 'character special file 1 5' ]"
fi
check by_date bash -c "'$build/commands/store' cat '$before:dir/random' | cmp - '$top/r/dir/random'"
check one_file store get "$before:dir/random" "$top/one"
check one_file_same cmp "$top/one/random" "$top/r/dir/random"
check nothing_replaced bash -c "! '$build/commands/store' -q get '$before:dir/random' '$top/one'"
check several store put both "$top/t/dir" "$top/t/numbers"
check several_there bash -c "'$build/commands/store' cat both:numbers | cmp - '$top/t/numbers'"
check unreadable bash -c "! '$build/commands/store' -q put both '$top/t/none'"
check dry_put store put -n never "$top/t"
check dry_put_left_nothing bash -c "! '$build/commands/store' snap never | grep -q ."
check check store check --data
check scrub "$build/commands/store" -s "$top/s" --passphrase-file /dev/null scrub
check scrub_budget bash -c "'$build/commands/store' scrub --budget 1K | grep -q '^cursor'"

check keep_what refuses 'keep what' store keep
check keep_dry bash -c "'$build/commands/store' keep -n --last 1 work | grep -q 'would be dropped: $before'"
check keep store keep --last 1 work
check dropped refuses 'no such snapshot' store cat "$before:numbers"
full=$(loud snap both | head -1 | cut -d' ' -f1)
check drop_needs_name refuses 'full name' store drop both
check drop store drop "$full"
check collect_dry bash -c "'$build/commands/store' --json collect -n | grep -q '\"objects\":[1-9]'"
check collect store collect
check collected bash -c "'$build/commands/store' --json collect -n | grep -q '\"objects\":0,'"
check check_again store check --data
check still_there bash -c "'$build/commands/store' cat work:numbers | cmp - '$top/t/numbers'"
check stats bash -c "'$build/commands/store' stats | grep -q '^packs'"
check dump_state bash -c "'$build/commands/store' dump state | grep -q '^ref '"
check dump_pack bash -c "'$build/commands/store' dump pack \$(ls '$top/s/packs' | head -1) | grep -q '^frames'"
check dump_config bash -c "'$build/commands/store' dump config | grep -q '^slot 1 recovery key'"
check dump_node bash -c "'$build/commands/store' dump node \$('$build/commands/store' --json snap work | tail -1 | grep -o '[0-9a-f]\{48\}') | grep -q work"
check dump_what refuses 'journal HEX' store dump nonsense
check dump_run bash -c "'$build/commands/store' dump run \$(ls '$top/s/index' | head -1) | grep -q 'count'"

check wrong_passphrase refuses 'passphrase is wrong' store --passphrase-file "$top/pass2" snap
sums() { (cd "$top/s" && find packs index state -type f -exec sha256sum {} + | sort -k2); }
sums > "$top/sums"
check change store passphrase --from "$top/pass2"
check change_rewrites_nothing diff "$top/sums" <(sums)
check old_passphrase refuses 'passphrase is wrong' store snap
check new_passphrase store --passphrase-file "$top/pass2" snap
echo "$recovery" > "$top/recovery"
check recovery store --recovery-file "$top/recovery" snap
check recovery_sets store --recovery-file "$top/recovery" passphrase --from "$top/pass"
check set_by_recovery store snap
tr A-Z2-7 B-ZA2-7 < "$top/recovery" > "$top/wrong"
check wrong_recovery refuses 'recovery key' store --recovery-file "$top/wrong" snap

check init_domain store -s "$top/s2" --domain "$top/s" init
check copy store copy "$top/s2"
check copy_again bash -c "'$build/commands/store' --json copy '$top/s2' | grep -q '\"objects\":0,'"
check copied bash -c "'$build/commands/store' -s '$top/s2' cat work:numbers | cmp - '$top/t/numbers'"
check copied_whole store -s "$top/s2" check --data
check init_other store -s "$top/s3" init
check copy_anew store copy "$top/s3"
check copied_anew bash -c "'$build/commands/store' -s '$top/s3' cat work:numbers | cmp - '$top/t/numbers'"
check copied_anew_whole store -s "$top/s3" check --data

remote="|$build/commands/store -s $top/s3 serve --append-only"
check remote_put store -s "$remote" put far "$top/t"
check remote_cat bash -c "'$build/commands/store' -s '$remote' cat far:numbers | cmp - '$top/t/numbers'"
far=$(loud -s "$top/s3" snap far | cut -d' ' -f1)
files() { (cd "$top/s3" && find packs index -type f | sort); }
files > "$top/files"
store -s "$remote" drop "$far" > /dev/null 2>&1 || true
store -s "$remote" collect > /dev/null 2>&1 || true
files > "$top/files2"
check append_only bash -c "! comm -23 '$top/files' '$top/files2' | grep -q ."

check peer_ends refuses 'ended with status 3' store -s '|exit 3' snap
check peer_is_none refuses 'breaks the protocol' store -s '|cat' snap
check peer_has_none refuses 'no store here' store -s "|$build/commands/store -s $top/none serve" snap
check peer_left_nothing test ! -e "$top/none"
# The cable is pulled after some 20 MB: that is told, and the next time all is there.
head -c 60000000 /dev/urandom > "$top/big"
check cable_pulled refuses 'the other side ended' \
    store -s "|dd bs=65536 count=400 2> /dev/null | $build/commands/store -s $top/s3 serve" --plain put cut "$top/big"
check after_it store -s "|$build/commands/store -s $top/s3 serve" --plain put cut "$top/big"
check after_it_same bash -c "'$build/commands/store' -s '$top/s3' cat cut:big | cmp - '$top/big'"
# A copy that is cut off after its commit at 256 MiB goes on from there.
head -c 300000000 /dev/urandom > "$top/large"
cat > "$top/cut.py" <<'END'
import os
left = 285000000
while left > 0 and (got := os.read(0, 65536)):
    left -= os.write(1, got)
END
check init_source store -s "$top/s6" init
check put_source store -s "$top/s6" --plain put large "$top/large"
check init_target store -s "$top/s7" --domain "$top/s6" init
check copy_cut_off refuses 'the other side ended' \
    store -s "$top/s6" --plain copy "|python3 $top/cut.py | $build/commands/store -s $top/s7 serve"
check copy_goes_on bash -c "'$build/commands/store' -s '$top/s6' --json --plain copy '$top/s7' 2> /dev/null | tail -1 | python3 -c 'import json, sys
c = json.load(sys.stdin)
assert 0 < c[\"bytes\"] < 60e6, c'"
check copy_went_on bash -c "'$build/commands/store' -s '$top/s7' cat large:large | cmp - '$top/large'"
rm -r "$top/large" "$top/s6" "$top/s7"
check foreign_pack bash -c "cp '$top'/s2/packs/* '$top/f'; n=\$(ls '$top/s/packs' | tail -1); cp '$top/s/packs/'\$n '$top/keep'
    cp '$top/f' '$top/s/packs/'\$n; ! '$build/commands/store' -q check; cp '$top/keep' '$top/s/packs/'\$n; '$build/commands/store' -q check"
check parity store -s "$top/s3" parity 2
big=$(ls -S "$top/s3/packs" | head -1)
cp "$top/s3/packs/$big" "$top/whole"
dd if=/dev/zero of="$top/s3/packs/$big" bs=1 seek=2000 count=70000 conv=notrunc 2> /dev/null
check dump_parity bash -c "'$build/commands/store' -s '$top/s3' dump parity $big | grep -q '^block 0 of the pack is damaged'"
check copy_reads_no_damage refuses 'damaged' store -s "$top/s3" copy "$top/s2" cut
check damage_is_seen bash -c "! '$build/commands/store' -q -s '$top/s3' scrub"
check parity_mends store -s "$top/s3" repair
check parity_same cmp "$top/whole" "$top/s3/packs/$big"
# A pack lost, the index gone, the newest state damaged: all comes back from the packs that are left and the copy.
rm "$top/s/packs/$(ls "$top/s/packs" | head -1)" "$top"/s/index/*
check repair_needed bash -c "! '$build/commands/store' -q check"
check repair store repair --from "$top/s2"
check repaired store check --data
check repaired_same bash -c "'$build/commands/store' cat work:numbers | cmp - '$top/t/numbers'"
printf xxxx | dd of="$top/s/state/$(ls "$top/s/state" | tail -1)" bs=1 seek=70 conv=notrunc 2> /dev/null
check state_damaged refuses 'repair' store snap
check repair_state store repair
check repair_state_same bash -c "'$build/commands/store' cat work:numbers | cmp - '$top/t/numbers'"
check repair_state_whole store check --data
rm "$top"/s/state/*
check repair_all store repair
check repair_all_whole store check --data
check repair_all_same bash -c "'$build/commands/store' cat work:numbers | cmp - '$top/t/numbers'"
# Snapshots by the clock: at full seconds here, each with what has changed meanwhile.
echo 0 > "$top/t/tick"
check init_every store -s "$top/s4" init
"$build/commands/store" -q -s "$top/s4" put --every 1s clock "$top/t/dir" "$top/t/tick" &
for i in $(seq 300); do
    [ "$(loud -s "$top/s4" snap clock | wc -l)" -lt 3 ] || break
    echo "$i" > "$top/t/tick"
    sleep 0.2
done
kill -TERM $!
check every_ends_well wait $!
check every test "$(loud -s "$top/s4" snap clock | wc -l)" -ge 3
check every_differs test "$(for s in $(loud -s "$top/s4" snap clock | cut -d' ' -f1); do loud -s "$top/s4" cat "$s:tick"; done | sort -u | wc -l)" -ge 2
check every_wrong refuses 'such as 6h' store put --every 5 clock "$top/t"

# The forecast looks at what snapshots of the last 30 days added: two of them ten and five days ago.
cat > "$top/shift.c" << 'END'
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t c, struct timespec *t)
{
    long r = syscall(SYS_clock_gettime, c, t);
    t->tv_sec -= c == CLOCK_REALTIME ? atol(getenv("DAYS_AGO")) * 86400 : 0;
    return (int)r;
}
END
cc -shared -fPIC -o "$top/shift.so" "$top/shift.c"
# A sanitizer wants to be the first library; behind this one it sees as much as the test needs.
ago() { DAYS_AGO=$1 ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$top/shift.so "$build/commands/store" -q "${@:2}"; }
check init_forecast ago 50 -s "$top/s5" init
for days in 40 10 5; do
    head -c 10000000 /dev/urandom > "$top/grows"
    cp "$top/grows" "$top/grew.$days"
    check "put_$days" ago $days -s "$top/s5" put grows "$top/grows"
done
check forecast bash -c "'$build/commands/store' -s '$top/s5' --json stats | python3 -c 'import json, sys
s = json.load(sys.stdin)
assert 1.9e6 < s[\"bytes_a_day\"] < 2.1e6, s
assert abs(s[\"days_left\"] - s[\"space_free\"] / s[\"bytes_a_day\"]) < 1, s'"
check forecast_text bash -c "'$build/commands/store' -s '$top/s5' stats | grep -Eq '^forecast +grows by 2.0 MB a day: full in [0-9]+ days'"
check no_forecast bash -c "'$build/commands/store' -s '$top/s4' --json stats | grep -q '\"bytes_a_day\":0,'"
check get_by_day store -s "$top/s5" get "grows@$(date -u -d '7 days ago' +%Y-%m-%d):grows" "$top/then"
check get_by_day_same cmp "$top/then/grows" "$top/grew.10"
echo before > "$top/grows"
check put_yesterday ago 1 -s "$top/s5" put grows "$top/grows"
echo now > "$top/grows"
check put_today store -s "$top/s5" put grows "$top/grows"
check line_yesterday test "$(loud -s "$top/s5" cat grows@yesterday:grows)" = before
check all_yesterday test "$(loud -s "$top/s5" cat yesterday:grows)" = before
check diff_yesterday test "$(loud -s "$top/s5" diff grows@yesterday grows)" = 'M grows'
kept() { loud -s "$top/s5" keep -n "$@" grows | grep -c ^kept; }
check keep_rules test "$(kept --last 2) $(kept --hourly 3) $(kept --daily 4) $(kept --weekly 9) $(kept --yearly 1) $(kept --last 1 --daily 2)" = "2 3 4 $(
    for days in 40 10 5 1 0; do date -u -d "$days days ago" +%G-%V; done | sort -u | wc -l) 1 2"
check keep_months test "$(kept --monthly 9)" = "$(for days in 40 10 5 1 0; do date -u -d "$days days ago" +%Y%m; done | sort -u | wc -l)"
check keep_by_date store -s "$top/s5" keep --daily 1 grows
check kept test "$(loud -s "$top/s5" snap grows | wc -l)" = 1
# A line that moves on a terminal, nothing elsewhere, an object a second with --json.
cat > "$top/terminal.py" <<'END'
import os, pty, re, sys
said = b""
def read(fd):
    global said
    got = os.read(fd, 4096)
    said += got
    return got
sys.stdout = open(os.devnull, "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
status = pty.spawn(sys.argv[1:], read)
sys.exit(0 if status == 0 and re.search(rb"\r\x1b\[Kput: [0-9.]+ MB, .*MB/s", said) else 1)
END
check progress python3 "$top/terminal.py" "$build/commands/store" -s "$top/s5" --small --threads 0 put bar "$top/big" "$top/grew.5" "$top/grew.10"
check no_progress bash -c "[ -z \"\$('$build/commands/store' -s '$top/s5' --small put bar2 '$top/big' 2>&1 > /dev/null)\" ]"
json() { # each line is an object, on standard output and standard error
    loud --json "$@" > "$top/json" 2>&1 || true
    python3 -c 'import json, sys
for line in open(sys.argv[1]):
    assert isinstance(json.loads(line), dict), line' "$top/json"
}
for verb in "put bar $top/big" ls "ls bar" "find big" snap "keep -n --last 1" collect check "scrub --budget 1K" parity stats "history big" \
    "diff grows bar" "copy $top/s3" repair; do
    check "json ${verb%% *}" json -s "$top/s5" --small $verb
done
check no_store refuses 'config' store -s "$top" snap
check usage bash -c "'$build/commands/store' 2> /dev/null; [ \$? = 2 ]"
check wrong_verb refuses 'no such verb' store nonsense
check help bash -c "'$build/commands/store' --help | grep -q usage"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
