#!/bin/bash
# System test of the adapter: ramfs and hostfs behind it on Unix sockets, no gate, and real programs on the mount.
#
#   fuse_test.sh [--bench] [PATTERN]     only checks whose name matches PATTERN; --bench also measures
#
# Needs root and /dev/fuse; without them it is skipped. Leaves nothing behind.
build=$(realpath "${COGNU_BUILD:-build}")
bench=no
if [ "$1" = --bench ]; then
    bench=yes
    shift
fi
only=${1:-.}
if [ ! -c /dev/fuse ] || [ "$(id -u)" != 0 ]; then
    echo "skipped: needs root and /dev/fuse"
    echo "0 passed, 0 failed"
    exit 0
fi

dir=$(mktemp -d /tmp/cognu-fuse.XXXXXX)
passed=0 failed=0
pids=()
export PYTHONDONTWRITEBYTECODE=1 GIT_CONFIG_NOSYSTEM=1 HOME=$dir/home COGNU_LOG=${COGNU_LOG:-warn}
chmod 755 "$dir"
mkdir -p "$HOME" "$dir/srv" "$dir/host" "$dir"/{a,b,old1,old2,null}

finish() {
    cd /
    for pid in "${pids[@]}"; do
        kill -CONT "$pid" 2>/dev/null
        kill -TERM "$pid" 2>/dev/null
    done
    for m in a b old1 old2 null; do
        umount -l "$dir/$m" 2>/dev/null
    done
    wait
    rm -rf "$dir"
}
trap finish EXIT

# NAME SECONDS COMMAND...: the command's output is shown when it fails.
check() {
    local name=$1 limit=$2
    shift 2
    [[ $name =~ $only ]] || return 0
    if (set -e; cd "$dir"; timeout -k 2 "$limit" bash -c "$(declare -f); set -e; $(printf '%q ' "$@")") \
        >"$dir/out" 2>&1; then
        passed=$((passed + 1))
    else
        local status=$?
        failed=$((failed + 1))
        echo "FAILED: $name (status $status)"
        tail -n 15 "$dir/out" | sed 's/^/    /'
    fi
}

is() { [ "$1" = "$2" ] || { echo "«$1» is not «$2»"; return 1; }; }
fails() { if "$@"; then echo "«$*» did not fail"; return 1; fi; }

await() { # until a command works, at most 5 s
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    echo "waited in vain for: $*" >&2
    return 1
}

# ---- the servers

start() { "$@" & pids+=($!); started=$!; }
start "$build/bin/cognu-ramfs" --bytes-max 2G --socket "$dir/srv/ramfs"
ramfs=$started
start "$build/bin/cognu-hostfs" --tree "host=$dir/host" --tree root=/ --socket "$dir/srv/hostfs"
cat >"$dir/ns" <<END
mount -c .!ramfs /
mount -c .!hostfs!host /host
END
cat >"$dir/ns.root" <<END
mount -c .!hostfs!root /
mount -c .!ramfs /tmp
END
await test -S "$dir/srv/ramfs" && await test -S "$dir/srv/hostfs" || exit 1
start "$build/bin/cognu-fuse" --srv "$dir/srv" --self here --ns "$dir/ns" --mount "$dir/a"
adapter=$started
start "$build/bin/cognu-fuse" --srv "$dir/srv" --self here --ns "$dir/ns" --mount "$dir/b"
start "$build/bin/cognu-fuse" --srv "$dir/srv" --self here --control "$dir/control"
await grep -q " $dir/a fuse" /proc/mounts && await grep -q " $dir/b fuse" /proc/mounts || exit 1
a=$dir/a b=$dir/b
export a b dir build ramfs adapter
await test -d "$a/host" || exit 1

# ---- programs that a user runs; $1 is a directory on the mount

t_files() {
    cd "$1"
    echo hello >f
    is "$(cat f)" hello
    echo more >>f
    is "$(cat f)" $'hello\nmore'
    cp f g
    cmp f g
    mv g h
    fails test -e g
    ln h link
    is "$(stat -c %h h)" 2
    ln -s h sym
    is "$(readlink sym)" h
    cat sym >/dev/null
    chmod 640 h
    is "$(stat -c %a h)" 640
    touch -d '2001-02-03 04:05:06.123456789' h
    is "$(stat -c %y h | cut -c1-29)" "2001-02-03 04:05:06.123456789"
    truncate -s 1000000 big
    is "$(stat -c %s big)" 1000000
    is "$(tr -d '\0' <big | wc -c)" 0
    mkfifo pipe
    test -p pipe
    fails cat missing
    fails rmdir h
    mkdir -p p/q/r
    fails rmdir p
    is "$(stat -c %U f)" root
    mv f p/q/r/
    mv p o
    cat o/q/r/f >/dev/null
    df . >/dev/null
    is "$(ls -1 | tr '\n' ' ')" "big h link o pipe sym "
}

t_names() {
    cd "$1"
    long=$(printf 'x%.0s' $(seq 255))
    touch -- "$long" "with space" $'new\nline' '-dash' 'ünïcode'
    is "$(find . -type f | tr -dc . | wc -c)" 5
    fails touch "${long}y"
    rm -- "$long" "with space" $'new\nline' '-dash' 'ünïcode'
    is "$(ls -A)" ""
}

t_many() {
    cd "$1"
    seq 1000 | xargs touch
    is "$(ls | wc -l)" 1000
    is "$(find . -name '*7' | wc -l)" 100
    mkdir -p d/{1,2,3}/{4,5}
    touch d/{1,2,3}/{4,5}/{6,7}
    is "$(find d | wc -l)" 22
    rm -r d
    find . -name '*3' -delete
    is "$(ls | wc -l)" 900
    rm -f ./*
    is "$(ls -A | wc -l)" 0
}

t_copy() {
    cd "$1"
    cp -a /usr/include/linux from
    diff -r /usr/include/linux from
    cp -a from to
    diff -r from to
    tar cf t.tar from
    mkdir x
    tar xf t.tar -C x
    diff -r from x/from
    is "$(find from -type f | wc -l)" "$(find /usr/include/linux -type f | wc -l)"
    rm -r from to x t.tar
}

t_bulk() {
    cd "$1"
    head -c 67108864 /dev/urandom >"$dir/random.$$"
    cp "$dir/random.$$" big
    cmp "$dir/random.$$" big
    dd if="$dir/random.$$" of=odd bs=77777 2>/dev/null
    cmp "$dir/random.$$" odd
    dd if="$dir/random.$$" of=direct bs=1M oflag=direct 2>/dev/null
    dd if=direct bs=1M iflag=direct 2>/dev/null | cmp "$dir/random.$$" -
    rm "$dir/random.$$" big odd direct
}

t_git() {
    cd "$1"
    git init -q repo
    cd repo
    git config user.name t
    git config user.email t@example.org
    cp /usr/include/linux/[a-f]*.h .
    git add .
    git commit -q -m one
    for i in 1 2 3 4 5; do
        echo "$i" >>auto.txt
        git add auto.txt
        git commit -q -m "$i"
    done
    git gc -q
    git fsck --full
    is "$(git status --porcelain)" ""
    cd ..
    git clone -q repo copy
    diff -r -x .git repo copy
    cd copy
    is "$(git log --oneline | wc -l)" 6
    cd ..
    rm -rf repo copy
}

t_make() {
    cd "$1"
    for i in 1 2 3 4 5 6; do
        printf '#include <stdio.h>\nint f%d(void);\nint f%d(void) { return printf("%d"); }\n' "$i" "$i" "$i" >"f$i.c"
    done
    printf 'int f1(void), f2(void), f3(void), f4(void), f5(void), f6(void);\nint main(void) { return f1() + f2() + f3() + f4() + f5() + f6() != 6; }\n' >main.c
    printf 'prog: main.o f1.o f2.o f3.o f4.o f5.o f6.o\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -O1 -c -o $@ $<\n' >Makefile
    make -s -j2
    is "$(./prog)" 123456
    touch f3.c
    is "$(make -j2 | grep -c 'gcc -O1')" 1
    make -s -q
    rm ./*
}

t_sqlite() {
    cd "$1"
    sqlite3 db 'pragma journal_mode=delete; create table t(who, n);'
    writer() {
        for i in $(seq 40); do
            printf '.timeout 20000\nbegin immediate;\ninsert into t values(%d, %d);\ncommit;\n' "$1" "$i" | sqlite3 db
        done
    }
    writer 1 &
    one=$!
    writer 2 &
    wait $one
    wait $!
    is "$(sqlite3 db 'select count(*), count(distinct who), sum(n) from t')" "80|2|1640"
    is "$(sqlite3 db 'pragma integrity_check')" ok
    rm db
}

t_venv() {
    cd "$1"
    python3 -m venv --without-pip v
    is "$(v/bin/python -c 'import sys; print(sys.prefix)')" "$PWD/v"
    rm -r v
}

t_unlinked() {
    cd "$1"
    python3 - <<'END'
import os
f = os.open("u", os.O_RDWR | os.O_CREAT)
os.write(f, b"before")
os.unlink("u")
assert not os.path.exists("u")
os.write(f, b" after")
os.lseek(f, 0, 0)
assert os.read(f, 100) == b"before after"
assert os.fstat(f).st_nlink == 0
os.ftruncate(f, 3)
os.fchmod(f, 0o600)
assert os.fstat(f).st_size == 3
os.close(f)
assert os.listdir(".") == [], os.listdir(".")
END
}

t_mmap() {
    cd "$1"
    python3 - <<'END'
import mmap, os
with open("m", "wb") as f:
    f.write(bytes(100000))
with open("m", "r+b") as f:
    m = mmap.mmap(f.fileno(), 0)
    m[5000:5005] = b"hello"
    m[99999] = 7
    m.flush()
    with open("m", "rb") as g:
        g.seek(5000)
        assert g.read(5) == b"hello"
    m.close()
with open("m", "rb") as f:
    d = f.read()
assert len(d) == 100000 and d[99999] == 7 and d[5000:5005] == b"hello"
os.remove("m")
END
}

t_xattr() {
    cd "$1"
    python3 - <<'END'
import os, errno
open("x", "w").close()
assert os.listxattr("x") == []
try:
    os.getxattr("x", "user.none")
    assert False
except OSError as e:
    assert e.errno == errno.ENODATA, e
os.setxattr("x", "user.one", b"1")
os.setxattr("x", "user.two", b"22" * 100)
assert sorted(os.listxattr("x")) == ["user.one", "user.two"]
assert os.getxattr("x", "user.two") == b"22" * 100
try:
    os.setxattr("x", "user.one", b"", os.XATTR_CREATE)
    assert False
except OSError as e:
    assert e.errno == errno.EEXIST, e
os.removexattr("x", "user.one")
assert os.listxattr("x") == ["user.two"]
os.remove("x")
END
}

t_append() {
    cd "$1"
    for w in 1 2 3 4; do
        (for i in $(seq 50); do echo "$w $i" >>log; done) &
    done
    wait
    is "$(wc -l <log)" 200
    is "$(sort -u log | wc -l)" 200
    rm log
}

t_space() {
    cd "$1"
    fallocate -l 1048576 f
    is "$(stat -c %s f)" 1048576
    fallocate -n -l 2097152 f
    is "$(stat -c %s f)" 1048576
    rm f
    python3 - <<'END'
import os
f = os.open("holes", os.O_RDWR | os.O_CREAT)
os.pwrite(f, b"x" * 4096, 1 << 20)
os.fsync(f)
d = os.lseek(f, 0, os.SEEK_DATA)
assert 0 <= d <= 1 << 20, d
h = os.lseek(f, 1 << 20, os.SEEK_HOLE)
assert h >= (1 << 20) + 4096 or h == 0, h
os.close(f)
os.remove("holes")
END
}

t_rename2() {
    cd "$1"
    python3 - <<'END'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def rename2(a, b, flags):
    r = libc.renameat2(-100, a.encode(), -100, b.encode(), flags)
    return ctypes.get_errno() if r else 0
open("a", "w").write("A"); open("b", "w").write("B")
assert rename2("a", "b", 1) == 17
assert rename2("a", "b", 2) == 0
assert open("a").read() == "B" and open("b").read() == "A"
assert rename2("a", "c", 1) == 0
assert sorted(os.listdir(".")) == ["b", "c"]
os.remove("b"); os.remove("c")
END
}

t_locks() {
    cd "$1"
    python3 - <<'END'
import fcntl, os, struct
f = os.open("l", os.O_RDWR | os.O_CREAT)
fcntl.lockf(f, fcntl.LOCK_EX, 10, 5)
pid = os.fork()
if pid == 0:
    g = os.open("l", os.O_RDWR)
    try:
        fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 7)
        os._exit(1)
    except OSError:
        pass
    fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0)
    flock = struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 100, 0)
    kind, whence, start, length, owner = struct.unpack("hhqqi", fcntl.fcntl(g, fcntl.F_GETLK, flock)[:28])
    os._exit(0 if (kind, start, length) == (fcntl.F_WRLCK, 5, 10) and owner == os.getppid() else 2)
assert os.waitpid(pid, 0)[1] == 0
os.close(os.open("l", os.O_RDONLY))  # closing any descriptor drops the locks
pid = os.fork()
if pid == 0:
    g = os.open("l", os.O_RDWR)
    fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 7)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
os.remove("l")
END
}

t_suid() { # a write by somebody without CAP_FSETID takes the set-uid bit
    cd "$1"
    chmod 755 .
    echo x >s
    chown 1000 s
    chmod 4777 s
    setpriv --reuid 1000 --regid 1000 --clear-groups bash -c 'echo y >>s'
    is "$(stat -c %a s)" 777
    rm s
}

for place in ramfs host; do
    base=$a
    [ $place = host ] && base=$a/host
    for t in files names many copy bulk git make sqlite venv unlinked mmap xattr append space rename2 locks suid; do
        [[ "$place $t" =~ $only ]] || continue
        mkdir -p "$base/$t"
        check "$place $t" 120 "t_$t" "$base/$t"
        check "$place $t: rm -r" 30 rm -r "$base/$t"
    done
done

# ---- two mounts of the same trees

t_coherent() { # a change on one side is seen on the other at once
    mkdir -p "$1/co"
    for i in $(seq 30); do
        echo "a$i" >"$1/co/f"
        is "$(cat "$2/co/f")" "a$i"
        echo "b$i" >"$2/co/g$i"
        is "$(cat "$1/co/g$i")" "b$i"
        is "$(ls "$1/co" | wc -l)" $((i + 1))
        is "$(ls "$2/co" | wc -l)" $((i + 1))
        mv "$1/co/f" "$1/co/f2"
        fails test -e "$2/co/f"
        mv "$2/co/f2" "$2/co/f"
        test -e "$1/co/f"
    done
    rm -r "$1/co"
    fails test -e "$2/co"
}

t_both_write() { # both make files in one directory at once: nobody waits for a lease to end
    mkdir -p "$1/bw"
    begin=$(date +%s)
    (for i in $(seq 100); do echo x >"$1/bw/a$i"; done) &
    (for i in $(seq 100); do echo x >"$2/bw/b$i"; done) &
    wait
    is "$(ls "$1/bw" | wc -l)" 200
    is "$(ls "$2/bw" | wc -l)" 200
    test $(($(date +%s) - begin)) -lt 10
    rm -r "$1/bw"
}

t_both_file() { # both write one file, whose pages both have read
    echo start >"$1/bf"
    begin=$(date +%s)
    (for i in $(seq 50); do cat "$1/bf" >/dev/null; echo "a$i" >>"$1/bf"; done) &
    (for i in $(seq 50); do cat "$2/bf" >/dev/null; echo "b$i" >>"$2/bf"; done) &
    wait
    is "$(cat "$1/bf" | sort -u | wc -l)" "$(cat "$2/bf" | sort -u | wc -l)"
    cmp "$1/bf" "$2/bf"
    test $(($(date +%s) - begin)) -lt 10
    rm "$1/bf"
}

t_flock() {
    touch "$1/lock"
    flock "$1/lock" sleep 1 &
    sleep 0.3
    fails flock -n "$2/lock" true
    flock -w 5 "$2/lock" true
    wait
    flock -n "$2/lock" true
    rm "$1/lock"
}

check "two mounts: coherent" 60 t_coherent "$a" "$b"
check "two mounts: coherent, hostfs" 60 t_coherent "$a/host" "$b/host"
check "two mounts: both make files" 60 t_both_write "$a" "$b"
check "two mounts: both write a file" 60 t_both_file "$a" "$b"
check "two mounts: flock" 20 t_flock "$a" "$b"

# ---- the namespace's own files

t_mnt_ns() {
    is "$(ls "$a/mnt/ns" | tr '\n' ' ')" "clone ctl err ns status trace "
    ls -la "$a" "$a/mnt" "$a/mnt/ns"
    grep -q 'ramfs' "$a/mnt/ns/ns"
    grep -q . "$a/mnt/ns/status"
    mkdir "$a/target"
    echo inside >"$a/target/f"
    mkdir "$a/here"
    echo 'bind -c /target /here' >"$a/mnt/ns/ctl"
    is "$(cat "$a/here/f")" inside
    fails test -e "$b/here/f"
    grep 'bind -c /target /here' "$a/mnt/ns/ns"
    echo 'unmount /here' >"$a/mnt/ns/ctl"
    fails test -e "$a/here/f"
    rm -r "$a/target" "$a/here"
    fails rmdir "$a/mnt/ns"
    fails touch "$a/mnt/ns/file"
}

t_err() { # the shell's next command reads why the last one failed
    fails sh -c "echo 'bind /no/such /host' >$a/mnt/ns/ctl"
    bash -c "echo nonsense >$a/mnt/ns/ctl; cat $a/mnt/ns/err" | grep 'nonsense: a line is'
    bash -c "mkdir -p $a/e/e; rmdir $a/e; cat $a/mnt/ns/err" | grep '^e: '
    rm -r "$a/e"
}

t_ctl_lines() {
    fails sh -c "echo 'nonsense' >$a/mnt/ns/ctl"
    mkdir "$a/l1" "$a/l2"
    printf '# a comment\n\nbind /host /l1\nbind /l1 /l2\n' >"$a/mnt/ns/ctl"
    printf 'unmount /l2\nunmount /l1\n' >"$a/mnt/ns/ctl"
    rmdir "$a/l1" "$a/l2"
}

check "mnt/ns" 20 t_mnt_ns
check "mnt/ns/err" 20 t_err
check "mnt/ns/ctl with several lines" 20 t_ctl_lines

# ---- a server that stands still

t_interrupt() {
    echo there >"$b/stop"
    kill -STOP "$ramfs"
    python3 - "$a/stop" "$ramfs" <<'END'
import os, signal, subprocess, sys, time
try:
    p = subprocess.Popen(["cat", sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.7)
    assert p.poll() is None, "cat did not wait"
    begin = time.time()
    p.send_signal(signal.SIGINT)
    p.wait(timeout=5)
    assert time.time() - begin < 3, time.time() - begin
    assert p.returncode in (-signal.SIGINT, 1), p.returncode
finally:
    os.kill(int(sys.argv[2]), signal.SIGCONT)
END
    is "$(cat "$a/stop")" there
    rm "$b/stop"
}
check "^C on a stopped server" 30 t_interrupt

# ---- the launcher

enter() { "$build/bin/cognu-enter" --control "$dir/control" --ns "$dir/ns.root" "$@"; }
t_enter() {
    is "$(enter -- echo hello world)" "hello world"
    is "$(enter -- sh -c 'cat /proc/self/comm; echo x >/dev/null && echo y')" $'cat\ny'
    is "$(enter -- stat -f -c %T /)" fuseblk || is "$(enter -- stat -f -c %T /)" fuse
    enter -- grep -q ramfs /mnt/ns/ns
    enter -- sh -c 'echo t >/tmp/enter_t; exit 7' || is $? 7
    is "$(cat "$a/enter_t")" t
    rm "$a/enter_t"
    fails test -e /tmp/enter_t
    enter -- /no/such/program || is $? 127
    is "$(cd / && HOME=/usr enter -- pwd)" /usr
    enter -- sh -c 'echo $PATH' | grep -q /cognu/bin
    is "$(enter -- sh -c 'kill -TERM $$; sleep 5' || echo $?)" 143
    fails "$build/bin/cognu-enter" --control "$dir/nowhere" --clean -- true
    enter -- python3 -c 'import os; os.openpty()'
}
t_enter_clean() { # an empty namespace has only what the adapter shows
    "$build/bin/cognu-enter" --control "$dir/control" --clean -- /bin/true || is $? 127
}
t_enter_user() { # servers, adapter and launcher by a user without rights, in a user namespace
    mkdir -p "$dir/user/srv"
    chown -R 1000:1000 "$dir/user"
    mknod -m 666 "$dir/user/fuse" c 10 229
    cat >"$dir/user/run" <<'END'
cd "$1/user"
"$2/bin/cognu-hostfs" --tree root=/ --socket srv/hostfs & one=$!
"$2/bin/cognu-ramfs" --socket srv/ramfs & two=$!
await test -S srv/hostfs
await test -S srv/ramfs
"$2/bin/cognu-fuse" --srv "$PWD/srv" --self here --control control & three=$!
await test -S control
out=$("$2/bin/cognu-enter" --control control --ns "$1/ns.root" -- sh -c 'id -u; echo hi >/tmp/x; cat /tmp/x; stat -c %u /tmp/x; touch /etc/x || echo no')
kill $one $two $three
wait
is "$out" $'1000\nhi\n1000\nno'
END
    (declare -f is await; cat "$dir/user/run") >"$dir/user/all"
    unshare -m --propagation private bash -ec "mount --bind $dir/user/fuse /dev/fuse
        mount -o remount,bind,dev /dev/fuse
        HOME=/tmp setpriv --reuid 1000 --regid 1000 --clear-groups bash -e $dir/user/all $dir $build"
}
t_enter_refused() { # the adapter of one user is not another's
    chmod 666 "$dir/control"
    out=$(setpriv --reuid 1000 --regid 1000 --clear-groups /usr/bin/python3 - "$dir/control" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.send(b"new x\n")
print(s.recv(1000).decode())
END
)
    is "$out" "error this socket serves its own user and root"
    chmod 600 "$dir/control"
}
t_clone() {
    unshare -m --propagation private python3 - "$a" <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
a = sys.argv[1]
os.mkdir(a + "/point")
fd = os.open("/dev/fuse", os.O_RDWR)
where = "/mnt"
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,default_permissions"
assert libc.mount(b"t", where.encode(), b"fuse", 0, options.encode()) == 0, ctypes.get_errno()
try:
    os.write(os.open(a + "/mnt/ns/clone", os.O_WRONLY), b"99 copy\n")
    sys.exit("a descriptor that is not there was taken")
except OSError:
    pass
with open(a + "/mnt/ns/clone", "w", buffering=1 << 16) as f:
    f.write(f"{fd} copy\nbind /host /point\n")
os.close(fd)
assert os.path.isdir(where + "/host")
open(where + "/host/cloned", "w").write("c")
assert open(where + "/point/cloned").read() == "c"
assert not os.path.exists(a + "/point/cloned")  # the original is as it was
assert "bind /host /point" in open(where + "/mnt/ns/ns").read()
os.remove(a + "/host/cloned")
assert libc.umount2(where.encode(), 2) == 0
os.rmdir(a + "/point")
END
}
check "cognu-enter" 60 t_enter
check "cognu-enter --clean" 20 t_enter_clean
check "cognu-enter without rights" 30 t_enter_user
check "control refuses another user" 20 t_enter_refused
check "mnt/ns/clone" 30 t_clone
check "the adapter lives" 5 kill -0 "$adapter"

# ---- measures

measure() { # NAME DIR: prints seconds of the steps
    local d=$1/bench
    mkdir "$d"
    python3 - "$d" <<'END'
import os, subprocess, sys, time
d = sys.argv[1]
def clock(f):
    t = time.time(); f(); return time.time() - t
def sh(c): subprocess.run(c, shell=True, check=True, cwd=d)
def drop(): open("/proc/sys/vm/drop_caches", "w").write("3")
MIB = 512
w = clock(lambda: sh(f"dd if=/dev/zero of=big bs=1M count={MIB} 2>/dev/null"))
drop()
r = clock(lambda: sh("dd if=big of=/dev/null bs=1M 2>/dev/null"))
def make():
    for i in range(5000):
        with open(f"{d}/f{i}", "w") as f: f.write("0123456789" * 40)
def read():
    for i in range(5000):
        with open(f"{d}/f{i}") as f: f.read()
def stat():
    for i in range(5000): os.stat(f"{d}/f{i}")
m = clock(make)
drop()
c = clock(read)
h = clock(read)
drop()
l = clock(lambda: sh("ls -l >/dev/null"))
s = clock(stat)
x = clock(lambda: [os.remove(f"{d}/f{i}") for i in range(5000)])
print(f"{MIB/w:.0f} {MIB/r:.0f} {5000/m:.0f} {5000/c:.0f} {5000/h:.0f} {5000/l:.0f} {5000/s:.0f} {5000/x:.0f}")
END
    rm -r "$d"
}

if [ $bench = yes ]; then
    start "$build/bin/cognu-nullfs" "$dir/null"
    await grep -q " $dir/null fuse" /proc/mounts
    read -r -a null <<<"$(measure "$dir/null")"
    read -r -a ram <<<"$(measure "$a")"
    read -r -a host <<<"$(measure "$a/host")"
    names=("bulk write" "bulk read" "create 5000" "read 5000 cold" "read 5000 warm" "ls -l 5000" "stat 5000" "remove 5000")
    units=(MiB/s MiB/s files/s files/s files/s files/s files/s files/s)
    for i in "${!names[@]}"; do
        for place in ram host; do
            declare -n mine=$place
            printf 'fuse %s %s\t%s\t%s\t%s\t%s\n' "$place" "${names[i]}" "${mine[i]}" "${null[i]}" \
                "$(awk "BEGIN { printf \"%.3f\", ${mine[i]:-0} / ${null[i]:-1} }")" "${units[i]}"
        done
    done
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
