#!/bin/bash
# System test: unmodified programs on the files of beta, from alpha, while beta changes them too.
#
#   programs_test.sh [PATTERN]     only checks whose name matches PATTERN
#
# A cell of three nodes of its own, with its state in a new directory. A check t_NAME runs in a shell
# of alpha (on alpha), of beta (on beta), or here with both (between). pair.py has those that hold
# files open on both sides. Needs root and /dev/fuse; without them it is skipped.
here=$(realpath "$(dirname "$0")")
only=${1:-.}
if [ ! -c /dev/fuse ] || [ "$(id -u)" != 0 ]; then
    echo "skipped: needs root and /dev/fuse"
    echo "0 passed, 0 failed"
    exit 0
fi

dir=$(mktemp -d /tmp/cognu-programs.XXXXXX)
COGNU_BUILD=$(realpath "${COGNU_BUILD:-build}")
export COGNU_BUILD COGNU_STATE=$dir/state COGNU_NODES="alpha beta gamma" COGNU_NET=bridge
export COGNU_SEED=${COGNU_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
host=$COGNU_STATE/beta/root/w # what alpha finds at /n/beta/w, and beta at /w
passed=0 failed=0

cell() { "$here/../../scripts/cell" "$@"; }
pair() { python3 "$here/pair.py" "$here/../../scripts/cell" "$@"; }

finish() {
    cell clean || echo "the cell's state stays: $COGNU_STATE"
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM

# ---- in every shell

is() { [ "$1" = "$2" ] || { echo "«$1» is not «$2»"; return 1; }; }
fails() { if "$@"; then echo "«$*» did not fail"; return 1; fi; }
shell() { # what a node's shell is told first
    declare -f
    echo 'set -eu; export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org'
    echo 'export GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org'
}
alpha() { cell run -n alpha "$(shell); cd /n/beta/w; $*"; }
beta() { cell run -n beta "$(shell); cd /w; $*"; }

# NAME SECONDS COMMAND...: its output is shown when it fails.
check() {
    local name=$1 limit=$2 status=0 began=$SECONDS
    shift 2
    [[ $name =~ $only ]] || return 0
    (set -eu; export -f alpha beta cell pair; timeout -k 2 "$limit" bash -c \
        "$(declare -f); here=$here host=$host; set -eu; $(printf '%q ' "$@")") >"$dir/out" 2>&1 || status=$?
    if [ $status = 0 ]; then
        passed=$((passed + 1))
        [ -z "${COGNU_VERBOSE:-}" ] || echo "ok: $name ($((SECONDS - began)) s)"
    else
        failed=$((failed + 1))
        echo "FAILED: $name (status $status, $((SECONDS - began)) s, COGNU_SEED=$COGNU_SEED)"
        tail -n 15 "$dir/out" | sed 's/^/    /'
    fi
}

# ---- one program

t_git() { # everything from one side
    git init -q git
    cd git
    cp /usr/include/linux/[a-f]*.h .
    git add .
    git commit -q -m one
    for i in 1 2 3 4; do
        echo "$i" >>count
        git add count
        git commit -q -m "$i"
    done
    git gc -q
    git fsck --full --strict
    is "$(git status --porcelain)" ""
    cd ..
    git clone -q git clone
    diff -r -x .git git clone
    is "$(git -C clone log --oneline | wc -l)" 5
    git clone -q --no-hardlinks git packed
    git -C packed fsck --full
    rm -rf clone packed
}

t_git_sides() { # both sides work on what the other has just made
    beta 'git init -q one; cd one; cp /usr/include/asm-generic/*.h .; git add .; git commit -q -m 0; cd ..
        git clone -q one two'
    alpha 'cd two; is "$(git status --porcelain)" ""; is "$(git log --oneline | wc -l)" 1; git fsck --full'
    for i in 1 2 3; do
        alpha "cd two; echo alpha $i >>log; git add log; git commit -q -m 'alpha $i'; git status --porcelain"
        beta "cd two; is \"\$(git status --porcelain)\" ''; is \"\$(git log -1 --format=%s)\" 'alpha $i'
            echo beta $i >>log; git commit -q -a -m 'beta $i'"
        alpha "cd two; is \"\$(git log -1 --format=%s)\" 'beta $i'; is \"\$(tail -n 1 log)\" 'beta $i'"
    done
    beta 'git -C two gc -q'
    alpha 'cd two; git fsck --full; is "$(git log --oneline | wc -l)" 7; is "$(git status --porcelain)" ""'
    alpha 'git -C two gc -q --aggressive --prune=now'
    beta 'git -C two fsck --full; git -C two push -q ../one HEAD:refs/heads/back; git -C one log -1 back >/dev/null'
    (cd "$host/two" && git -c safe.directory="$host/two" fsck --full && git -c safe.directory="$host/two" status)
    alpha 'rm -rf one two'
    beta 'fails test -e one; fails test -e two'
}

t_make() {
    mkdir make
    cd make
    for i in $(seq 40); do
        printf '#include "all.h"\nint f%d(int n) { return n + printf("%%d ", %d); }\n' "$i" "$i" >"f$i.c"
        echo "int f$i(int n);"
    done >prototypes.h
    printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include "prototypes.h"\n' >all.h
    {
        printf '#include "all.h"\nint main(void)\n{\n    int n = 0;\n'
        printf '    n = f%d(n);\n' $(seq 40)
        printf '    return n == 111 ? 0 : 1;\n}\n'
    } >main.c
    cat >Makefile <<'END'
objects := $(patsubst %.c,%.o,$(wildcard *.c))
prog: $(objects)
	gcc -o $@ $^
%.o: %.c all.h prototypes.h
	gcc -O1 -MMD -c -o $@ $<
-include $(wildcard *.d)
END
    make -s -j4
    ./prog >/dev/null
    touch f7.c
    is "$(make -j4 | grep -c 'gcc -O1')" 1
    make -q
    make -q prog
}

t_make_sides() { # what beta touches is what alpha builds again
    beta 'cd make; make -q; ./prog >/dev/null; touch f3.c f9.c'
    alpha 'cd make; is "$(make -j4 | grep -c "gcc -O1")" 2; make -q'
    beta 'cd make; make -q; touch all.h; make -s -j4; ./prog >/dev/null'
    alpha 'cd make; make -q; ./prog >/dev/null; rm -r ../make'
}

t_sqlite_writer() {
    for i in $(seq 50); do
        for _ in $(seq 10); do
            echo 'begin immediate; update c set n = n + 1; insert into log(who) values('"'$1'"'); commit;'
        done | sqlite3 -bail -cmd '.timeout 60000' db
    done
}

t_sqlite() {
    alpha "sqlite3 db 'pragma journal_mode=delete; create table c(n); insert into c values(0);
        create table log(id integer primary key, who)'"
    alpha t_sqlite_writer alpha &
    one=$!
    beta t_sqlite_writer beta
    wait $one
    for side in alpha beta; do
        is "$($side "sqlite3 db 'select n from c; select who, count(*) from log group by who; pragma integrity_check'")" \
            $'1000\nalpha|500\nbeta|500\nok'
    done
    alpha 'rm db; is "$(echo db*)" "db*"'
}

t_venv() {
    python3 -m venv --without-pip venv
    is "$(venv/bin/python -c 'import sys, json; print(sys.prefix)')" "$PWD/venv"
    mkdir -p pkg/inner
    echo 'from .b import v' >pkg/inner/__init__.py
    echo 'v = 7' >pkg/inner/b.py
    is "$(venv/bin/python -c 'import pkg.inner; print(pkg.inner.v)')" 7
    test -e pkg/inner/__pycache__
    rm -r venv pkg
}

tree_make() { # a tree with all that a tree can have
    mkdir -p "$1"/{a/b/c,empty}
    cd "$1"
    echo text >a/file
    ln a/file a/b/hard
    ln a/file hard2
    ln -s ../file a/b/link
    ln -s /no/such dangling
    ln -s "$(printf 'x%.0s' $(seq 1000))" long
    head -c 300000 /dev/urandom >a/random
    truncate -s 8M a/sparse
    echo end >>a/sparse
    printf 'x' | dd of=a/holes bs=1 seek=3M conv=notrunc 2>/dev/null
    mkfifo a/fifo
    chmod 4751 a/b/hard
    chmod 1777 empty
    chmod 0400 a/random
    chown 1234:5678 a/holes
    chown -h 77:88 dangling
    python3 -c 'import os
os.setxattr("a/random", "user.one", b"1" * 300)
os.setxattr("a/b", "user.of.dir", bytes(range(256)))'
    touch -h -d '1999-12-31 23:59:59.987654321' dangling
    touch -d '2038-01-19 03:14:08.000000001' a/file
    touch -d '1969-07-20 20:17:40.25' a/random
    touch -d '2001-02-03 04:05:06.7' a/b empty a
    cd - >/dev/null
}

tree_list() { # every fact of a tree, a line each
    python3 - "$1" <<'END'
import hashlib, os, stat, sys
first = {}
for top, dirs, files in os.walk(sys.argv[1]):
    dirs.sort()
    for name in sorted(dirs + files):
        path = os.path.join(top, name)
        rel, st = os.path.relpath(path, sys.argv[1]), os.lstat(path)
        same = first.setdefault(st.st_ino, rel)
        body = os.readlink(path) if stat.S_ISLNK(st.st_mode) else ""
        if stat.S_ISREG(st.st_mode):
            body = hashlib.sha256(open(path, "rb").read()).hexdigest()
        xattrs = {x: os.getxattr(path, x, follow_symlinks=False) for x in os.listxattr(path, follow_symlinks=False)}
        nlink = 0 if stat.S_ISDIR(st.st_mode) else st.st_nlink
        size = 0 if stat.S_ISDIR(st.st_mode) else st.st_size
        print(rel, oct(st.st_mode), st.st_uid, st.st_gid, nlink, size, st.st_mtime_ns, same, body, sorted(xattrs.items()))
END
}

t_copies() {
    mkdir copies
    tree_make /root/tree
    tree_list /root/tree >/root/facts
    cp -a --sparse=always /root/tree copies/cp
    tar --xattrs --numeric-owner --sparse -C /root/tree -cf copies/t.tar .
    mkdir copies/tar
    tar --xattrs --xattrs-include='*' --numeric-owner -C copies/tar -xf copies/t.tar
    tree_make copies/made
    for c in cp tar; do
        diff /root/facts <(tree_list copies/$c)
        test "$(stat -c %b copies/$c/a/sparse)" -lt 100
    done
    test "$(stat -c %b copies/made/a/holes)" -lt 100
    cp -a copies/made copies/again
    diff <(tree_list copies/made) <(tree_list copies/again)
    rm -r /root/tree /root/facts
}

t_copies_sides() { # beta sees the same tree as alpha, and the host too
    diff <(alpha tree_list copies/tar) <(beta tree_list copies/tar)
    diff <(alpha tree_list copies/made) <(tree_list "$host/copies/made")
    beta 'cp -a copies/made copies/by_beta'
    diff <(alpha tree_list copies/by_beta) <(alpha tree_list copies/made)
    alpha 'rm -rf copies; fails test -e copies'
}

t_large() {
    head -c 300M /dev/urandom >/root/large
    sum=$(md5sum </root/large)
    cp /root/large large
    rm /root/large
    is "$(md5sum <large)" "$sum"
    echo "$sum" >large.md5
}

t_large_sides() {
    is "$(beta 'md5sum <large')" "$(cat "$host/large.md5")"
    beta 'printf CHANGED | dd of=large bs=1 seek=200000000 conv=notrunc 2>/dev/null; md5sum <large >large.md5'
    is "$(alpha 'md5sum <large')" "$(cat "$host/large.md5")"
    is "$(md5sum <"$host/large")" "$(cat "$host/large.md5")"
    beta 'truncate -s 100000000 large'
    alpha 'is "$(stat -c %s large)" 100000000; is "$(wc -c <large)" 100000000; rm large large.md5'
}

t_many() {
    mkdir many
    (cd many && seq -f 'f%04.0f' 5000 | xargs touch)
    is "$(ls many | wc -l)" 5000
    is "$(find many -type f -name 'f*7' | wc -l)" 500
    ls -la many >/dev/null
}

t_many_sides() {
    alpha 'is "$(ls many | sort | md5sum)" "$(seq -f "f%04.0f" 5000 | md5sum)"'
    beta 'is "$(ls many | wc -l)" 5000; rm many/f*3; seq 100 | sed "s,^,many/new," | xargs touch'
    alpha 'is "$(ls many | wc -l)" 4600; is "$(ls -U many | sort | uniq -d)" ""; fails test -e many/f0003; test -e many/new7'
    alpha 'rm -rf many; fails test -e many'
    beta 'fails test -e many'
}

t_names() { # any byte but / and NUL; the longest names; deep paths
    mkdir names
    python3 - names <<'END'
import os, sys
top = sys.argv[1].encode()
names = [bytes([b]) for b in range(1, 256) if b not in (47, 46)]
names += [b"\xff\xfe\x80", b" ", b"-rf", b"new\nline", b"tab\t", b"...", "ü😀".encode(), b"x" * 255, b"*", b"%s%n", b"\\", b"'\""]
names = sorted(set(names))
for n in names:
    open(os.path.join(top, n), "wb").write(n)
assert sorted(os.listdir(top)) == names
for n in names:
    assert open(os.path.join(top, n), "rb").read() == n
try:
    open(os.path.join(top, b"y" * 256), "w")
    sys.exit("a name of 256 bytes was taken")
except OSError as e:
    assert e.errno == 36, e
END
    deep=deep
    for i in $(seq 80); do deep=$deep/level_$i; done
    mkdir -p "$deep"
    echo bottom >"$deep/file"
    is "$(cat "$deep/file")" bottom
    python3 - <<'END'
import os
top = os.getcwd()
for i in range(30):
    os.mkdir("n" * 200)
    os.chdir("n" * 200)
assert len(os.getcwd()) > 6000
open("f", "w").write("f")
assert open("f").read() == "f"
END
}

t_names_sides() {
    diff <(alpha 'find names -print0 | sort -z | md5sum') <(beta 'find names -print0 | sort -z | md5sum')
    beta 'is "$(find deep -name file -exec cat {} +)" bottom; test -d "$(find . -maxdepth 3 -name "nnn*" | tail -n 1)"'
    beta 'is "$(find . -name f -path "*/nnn*" | wc -l)" 1; rm -rf nnn* names'
    alpha 'fails test -e names; is "$(echo nnn*)" "nnn*"; rm -rf deep'
}

t_attributes() { # what is set is what is shown, on both sides and on the host
    alpha 'echo x >attr; chmod 6751 attr; chown 12:34 attr; chmod 6751 attr; touch -d "2020-02-02 02:02:02.020202020" attr'
    want='6751 12 34 2020-02-02 02:02:02.020202020 2020-02-02 02:02:02.020202020'
    for side in alpha beta; do
        is "$(TZ=UTC $side 'stat -c "%a %u %g %y %x" attr | sed "s/ [+]0000//g"')" "$want"
    done
    is "$(TZ=UTC stat -c '%a %u %g %y %x' "$host/attr" | sed 's/ [+]0000//g')" "$want"
    beta 'chmod 600 attr; touch -m -d "1970-01-01 00:00:00.000000001 UTC" attr'
    alpha 'is "$(stat -c %a attr)" 600; python3 -c "import os; assert os.stat(\"attr\").st_mtime_ns == 1, os.stat(\"attr\")"'
    alpha 'before=$(stat -c %Z attr); sleep 1.1; chmod 644 attr; test "$(stat -c %Z attr)" -gt "$before"; rm attr'
}

t_owners() {
    mkdir owners
    touch owners/f
    is "$(ls -la owners | awk 'NR > 1 { print $3, $4 }' | sort -u)" "root root"
    chown 1000:1000 owners/f
    is "$(ls -ln owners/f | awk '{ print $3, $4 }')" "1000 1000"
    rm -r owners
}

t_listings() { # every directory of a node can be listed, and nothing in it is unknown
    ls -la /n/beta >/dev/null
    ls -la / >/dev/null
    find /n/beta -maxdepth 1 >/dev/null
}

t_busybox() {
    mkdir bb
    cd bb
    busybox sh -c 'for i in 1 2 3; do echo $i >$i; done; busybox cat 1 2 3 | busybox wc -l' | grep -qx 3
    busybox cp -a . ../bb2
    busybox diff -r . ../bb2
    busybox tar cf ../bb.tar .
    busybox tar tf ../bb.tar | grep -qx ./3
    busybox find . -type f -exec busybox rm {} +
    busybox ls -la
    busybox vi -h 2>/dev/null || true
    is "$(busybox ls)" ""
    cd ..
    busybox rm -rf bb bb2 bb.tar
}

t_df() {
    df -h .
    df -i . >/dev/null
    test "$(stat -f -c %b .)" -gt 0
}

t_remove() {
    cp -r /usr/include/linux remove
    is "$(find remove -type f | wc -l)" "$(find /usr/include/linux -type f | wc -l)"
    grep -rl netlink remove >/dev/null
    diff -r /usr/include/linux remove
    find remove -name '*_diag.h' -delete
    rm -rf remove
    fails test -e remove
}

# ---- what the host itself does with beta's files: seen when the host's notice has arrived

t_host() {
    mkdir -p "$host/direct"
    for i in $(seq 20); do
        echo "$i" >"$host/direct/file"
        echo "$i" >"$host/direct/new$i"
        sleep 0.2
        alpha "is \"\$(cat direct/file)\" $i; is \"\$(cat direct/new$i)\" $i; is \"\$(ls direct | wc -l)\" $((i + 1)); fails test -e direct/new$((i + 1))"
    done
    rm -r "$host/direct"
    sleep 0.2
    alpha 'fails test -e direct'
}

cell up || exit 1
mkdir "$host"
echo "COGNU_SEED=$COGNU_SEED"
for t in git make venv copies large many names busybox df owners listings remove; do
    check "$t on alpha" 100 alpha "t_$t"
    case $t in make | copies | large | many | names)
        check "$t: both sides" 60 "t_${t}_sides" ;;
    esac
done
check "git: both sides" 60 t_git_sides
check "sqlite: writers on two nodes" 100 t_sqlite
check "attributes" 30 t_attributes
for t in $(pair list); do
    check "$t" 60 pair "$t"
done
check "changes by the host itself" 60 t_host
check "nothing is left" 20 alpha 'rm -rf git; is "$(ls -A)" ""'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
