#!/usr/bin/env python3
"""What POSIX asks of a directory tree, by system calls, in the directory that is named: names, links, renames, modes and
owners, open files without names, holes, locks, listings that go on. Ends in 'N passed, N failed'. As root also what other
users may do. Each check is a function; its name is what it says."""
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
OTHER = 12345
checks = []


def check(f):
    checks.append(f)
    return f


def fails(number, f, *args, **kw):
    try:
        f(*args, **kw)
    except OSError as e:
        assert e.errno == number, f"{errno.errorcode.get(e.errno)} and not {errno.errorcode[number]}"
        return
    raise AssertionError(f"no {errno.errorcode[number]}")


def make(path, text=b"", mode=0o644):
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    os.write(fd, text)
    os.close(fd)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def renameat2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), a)


def as_user(uid, f):
    """The result of f in a process of that user: None, or the text of what it raised."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = ""
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            f()
        except BaseException as e:  # noqa: all of it is the parent's
            text = f"{type(e).__name__}: {e}"
        os.write(w, text.encode())
        os._exit(0)
    os.close(w)
    text = b""
    while part := os.read(r, 4096):
        text += part
    os.close(r)
    os.waitpid(pid, 0)
    assert not text, text.decode()


@check
def open_creates_only_what_is_not_there():
    make("a", b"one")
    fails(errno.EEXIST, os.open, "a", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    fails(errno.ENOENT, os.open, "none", os.O_RDONLY)
    fails(errno.ENOENT, os.open, "none/x", os.O_CREAT | os.O_WRONLY)
    fails(errno.ENOTDIR, os.open, "a/x", os.O_CREAT | os.O_WRONLY)
    fails(errno.ENOTDIR, os.open, "a", os.O_RDONLY | os.O_DIRECTORY)
    fails(errno.EISDIR, os.open, ".", os.O_WRONLY)
    os.close(os.open("a", os.O_WRONLY | os.O_TRUNC))
    assert os.stat("a").st_size == 0


@check
def names_end_at_255_bytes():
    make("n" * 255)
    assert "n" * 255 in os.listdir(".")
    fails(errno.ENAMETOOLONG, os.open, "n" * 256, os.O_CREAT | os.O_WRONLY)
    fails(errno.ENAMETOOLONG, os.mkdir, "n" * 256)
    os.mkdir(b"\xff\xfe odd\n")
    assert b"\xff\xfe odd\n" in os.listdir(b".")


@check
def append_goes_to_the_end():
    fd = os.open("f", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"one")
    with open("f", "r+b") as f:
        f.seek(0, 2)
        f.write(b"two")
    os.write(fd, b"three")
    os.close(fd)
    assert read("f") == b"onetwothree"


@check
def an_unlinked_file_goes_on_until_it_is_closed():
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    os.write(fd, b"x" * 100000)
    os.unlink("f")
    fails(errno.ENOENT, os.stat, "f")
    assert os.fstat(fd).st_nlink == 0
    os.pwrite(fd, b"more", 200000)
    os.ftruncate(fd, 150000)
    os.fsync(fd)
    assert os.pread(fd, 10, 99995) == b"x" * 5 + b"\0" * 5
    make("f", b"another")
    assert os.fstat(fd).st_ino != os.stat("f").st_ino
    os.close(fd)
    assert read("f") == b"another"


@check
def unlink_takes_files_and_rmdir_directories():
    os.mkdir("d")
    make("f")
    fails(errno.EISDIR, os.unlink, "d")
    fails(errno.ENOTDIR, os.rmdir, "f")
    make("d/x")
    fails(errno.ENOTEMPTY, os.rmdir, "d")
    fails(errno.ENOENT, os.unlink, "none")
    fails(errno.EINVAL, os.rmdir, "d/.")
    os.unlink("d/x")
    os.rmdir("d")
    fails(errno.ENOENT, os.stat, "d")


@check
def a_removed_directory_takes_no_names():
    os.mkdir("d")
    fd = os.open("d", os.O_RDONLY)
    os.rmdir("d")
    fails(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    assert os.listdir(fd) == []
    os.close(fd)


@check
def hard_links_are_one_file():
    make("a", b"text")
    os.mkdir("d")
    os.link("a", "b")
    os.link("a", "d/c")
    assert os.stat("a").st_nlink == 3 and os.path.samefile("a", "d/c")
    with open("d/c", "ab") as f:
        f.write(b" more")
    assert read("b") == b"text more"
    os.chmod("b", 0o600)
    assert stat.S_IMODE(os.stat("a").st_mode) == 0o600
    fails(errno.EEXIST, os.link, "a", "b")
    fails(errno.EPERM, os.link, "d", "e")
    fails(errno.ENOENT, os.link, "none", "e")
    os.unlink("a")
    assert os.stat("b").st_nlink == 2 and read("d/c") == b"text more"
    os.rename("b", "d/c")
    assert os.stat("b").st_nlink == 2


@check
def symbolic_links_hold_text():
    os.symlink("to nowhere", "l")
    assert os.readlink("l") == "to nowhere" and os.lstat("l").st_size == 10
    fails(errno.ENOENT, os.stat, "l")
    os.symlink("loop", "loop")
    fails(errno.ELOOP, os.stat, "loop")
    make("f", b"x")
    os.symlink("f", "k")
    assert read("k") == b"x"
    fails(errno.ELOOP, os.open, "k", os.O_RDONLY | os.O_NOFOLLOW)
    fails(errno.EEXIST, os.symlink, "f", "k")
    fails(errno.EINVAL, os.readlink, "f")
    os.unlink("k")
    assert read("f") == b"x"


@check
def rename_replaces_in_one_step():
    make("a", b"a")
    make("b", b"b")
    ino = os.stat("a").st_ino
    os.rename("a", "b")
    assert read("b") == b"a" and os.stat("b").st_ino == ino and not os.path.exists("a")
    os.mkdir("d")
    os.mkdir("e")
    fails(errno.EISDIR, os.rename, "b", "d")
    fails(errno.ENOTDIR, os.rename, "d", "b")
    os.rename("d", "e")
    make("e/x")
    os.mkdir("d")
    fails(errno.ENOTEMPTY, os.rename, "d", "e")
    fails(errno.EINVAL, os.rename, "e", "e/below")
    fails(errno.ENOENT, os.rename, "none", "x")
    os.rename("e", "d")
    assert os.listdir("d") == ["x"]


@check
def rename_can_refuse_and_exchange():
    make("a", b"a")
    os.mkdir("d")
    make("d/b", b"b")
    fails(errno.EEXIST, renameat2, "a", "d/b", RENAME_NOREPLACE)
    renameat2("a", "c", RENAME_NOREPLACE)
    renameat2("c", "d/b", RENAME_EXCHANGE)
    assert read("c") == b"b" and read("d/b") == b"a"
    os.mkdir("d/e")
    renameat2("c", "d/e", RENAME_EXCHANGE)
    assert os.path.isdir("c") and read("d/e") == b"b"
    assert os.stat("d").st_nlink == 2 and os.stat(".").st_nlink == 4
    fails(errno.ENOENT, renameat2, "c", "none", RENAME_EXCHANGE)


@check
def link_counts_of_directories():
    assert os.stat(".").st_nlink == 2
    os.makedirs("a/b/c")
    os.mkdir("a/d")
    assert os.stat("a").st_nlink == 4
    os.rename("a/d", "d")
    assert os.stat("a").st_nlink == 3 and os.stat(".").st_nlink == 4
    os.rmdir("d")
    assert os.stat(".").st_nlink == 3


@check
def modes_and_times():
    make("f", mode=0o640)
    os.chmod("f", 0o4711)
    assert stat.S_IMODE(os.stat("f").st_mode) == 0o4711
    os.utime("f", ns=(1_000_000_001, 2_000_000_003))
    s = os.stat("f")
    assert (s.st_atime_ns, s.st_mtime_ns) == (1_000_000_001, 2_000_000_003)
    before = os.stat("f").st_ctime_ns
    time.sleep(0.01)
    os.chmod("f", 0o600)
    assert os.stat("f").st_ctime_ns > before and os.stat("f").st_mtime_ns == 2_000_000_003
    before = os.stat(".").st_mtime_ns
    time.sleep(0.01)
    make("g")
    assert os.stat(".").st_mtime_ns > before
    with open("f", "ab") as f:
        f.write(b"x")
    assert os.stat("f").st_mtime_ns > before


@check
def special_files():
    os.mkfifo("p", 0o600)
    assert stat.S_ISFIFO(os.stat("p").st_mode)
    s = socket.socket(socket.AF_UNIX)
    s.bind("s")
    assert stat.S_ISSOCK(os.stat("s").st_mode)
    s.close()
    pid = os.fork()
    if pid == 0:
        with open("p", "wb") as f:
            f.write(b"through the pipe")
        os._exit(0)
    assert read("p") == b"through the pipe"
    os.waitpid(pid, 0)


@check
def truncate_both_ways():
    make("f", b"0123456789")
    os.truncate("f", 4)
    os.truncate("f", 8)
    assert read("f") == b"0123\0\0\0\0"
    fails(errno.EISDIR, os.truncate, ".", 0)
    fails(errno.EINVAL, os.truncate, "f", -1)
    os.truncate("f", 1 << 40)
    assert os.stat("f").st_size == 1 << 40 and os.stat("f").st_blocks < 1024


@check
def holes_are_found_and_punched():
    fd = os.open("f", os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, b"d" * 8192, 1 << 20)
    os.ftruncate(fd, 2 << 20)
    assert os.lseek(fd, 0, os.SEEK_DATA) == 1 << 20
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
    assert os.lseek(fd, 1 << 20, os.SEEK_HOLE) == (1 << 20) + 8192
    fails(errno.ENXIO, os.lseek, fd, (1 << 20) + 8192, os.SEEK_DATA)
    if libc.fallocate(fd, 3, ctypes.c_long(1 << 20), ctypes.c_long(4096)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")
    assert os.pread(fd, 4097, 1 << 20) == b"\0" * 4096 + b"d"
    os.posix_fallocate(fd, 0, 3 << 20)
    assert os.fstat(fd).st_size == 3 << 20
    os.close(fd)


@check
def attributes_of_users():
    make("f")
    os.setxattr("f", "user.a", b"one")
    os.setxattr("f", "user.b", b"\0two")
    assert sorted(os.listxattr("f")) == ["user.a", "user.b"] and os.getxattr("f", "user.b") == b"\0two"
    fails(errno.EEXIST, os.setxattr, "f", "user.a", b"x", os.XATTR_CREATE)
    fails(errno.ENODATA, os.setxattr, "f", "user.c", b"x", os.XATTR_REPLACE)
    os.removexattr("f", "user.a")
    fails(errno.ENODATA, os.getxattr, "f", "user.a")
    fails(errno.ENODATA, os.removexattr, "f", "user.a")


@check
def locks_are_seen_by_others():
    make("f", b"0123456789")
    fd = os.open("f", os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX, 5, 0)

    def other():
        mine = os.open("f", os.O_RDWR)
        fails(errno.EAGAIN, fcntl.lockf, mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 2)
        fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 3, 6)
        whole = os.open("f", os.O_RDWR)
        fcntl.flock(whole, fcntl.LOCK_EX | fcntl.LOCK_NB)

    as_user(os.getuid(), other)
    fcntl.lockf(fd, fcntl.LOCK_UN)
    fcntl.flock(fd, fcntl.LOCK_SH)
    as_user(os.getuid(), lambda: fails(errno.EAGAIN, fcntl.flock, os.open("f", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB))
    os.close(fd)
    as_user(os.getuid(), lambda: fcntl.flock(os.open("f", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB))


@check
def a_listing_goes_on_while_names_change():
    names = {f"name-{i:05}" for i in range(3000)}
    os.mkdir("d")
    for n in names:
        make("d/" + n)
    seen = []
    for n in os.scandir("d"):
        seen.append(n.name)
        if len(seen) % 3 == 0:
            os.unlink("d/" + n.name)
            make(f"d/new-{len(seen)}")
    old = [n for n in seen if n.startswith("name-")]
    assert len(old) == len(set(old)) and set(old) == names
    assert len(seen) == len(set(seen))
    for n in os.listdir("d"):
        os.unlink("d/" + n)
    os.rmdir("d")


@check
def memory_that_is_mapped_is_the_file():
    make("f", b"\0" * 8192)
    fd = os.open("f", os.O_RDWR)
    m = mmap.mmap(fd, 8192)
    m[5000:5004] = b"mmap"
    m.flush()
    m.close()
    os.fsync(fd)
    os.close(fd)
    assert read("f")[5000:5004] == b"mmap"


@check
def deep_trees():
    path = "."
    for i in range(200):
        path += "/d%d" % i
    os.makedirs(path)
    make(path + "/f", b"deep")
    os.rename("d0", "moved")
    path = path.replace("./d0", "moved")
    assert read(path + "/f") == b"deep"


@check
def others_may_what_the_mode_says():
    if os.getuid() != 0:
        return
    os.chmod(".", 0o755)
    make("secret", b"x", 0o600)
    make("open", b"y", 0o644)
    os.mkdir("shared")
    os.chmod("shared", 0o1777)
    make("shared/ours")

    def other():
        fails(errno.EACCES, open, "secret")
        assert read("open") == b"y"
        fails(errno.EACCES, open, "open", "ab")
        fails(errno.EACCES, make, "new")
        fails(errno.EPERM, os.chmod, "open", 0o777)
        fails(errno.EPERM, os.chown, "open", OTHER, OTHER)
        fails(errno.EACCES, os.unlink, "open")
        fails(errno.EPERM, os.unlink, "shared/ours")

    as_user(OTHER, other)
    assert os.path.exists("shared/ours") and read("open") == b"y"


def main():
    top = os.path.join(sys.argv[1], f"posix-{os.getpid()}")
    os.mkdir(top)
    os.umask(0)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    failed = 0
    for f in checks:
        os.chdir(top)
        os.mkdir(f.__name__)
        os.chdir(f.__name__)
        try:
            f()
        except Exception as e:  # noqa: what went wrong is what is told
            line = e.__traceback__
            while line.tb_next and line.tb_next.tb_frame.f_code.co_filename == __file__:
                line = line.tb_next
            print(f"FAILED: {f.__name__}: line {line.tb_lineno}: {type(e).__name__} {e}")
            failed += 1
    print(f"{len(checks) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
