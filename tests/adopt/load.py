#!/usr/bin/env python3
"""What adopt_test.py lets run while adapters are killed: loops that check each step, until a file `stop` stands beside the mount.

    load.py names DIR     makes, links, renames and removes; each call must do its work, once
    load.py append FILE   appends numbered lines
    load.py bulk FILE     writes and reads back larger pieces
    load.py many DIR      writes small files, lists and reads them

Status 0, and a line that says how much was done; else the error.
"""
import os
import sys


def stopped():
    return os.path.exists("../stop")


def names(base):
    """A step that happens twice fails: EEXIST or ENOENT."""
    os.mkdir(base)
    n = 0
    while not stopped():
        d = f"{base}/{n}"
        os.mkdir(d)
        fd = os.open(f"{d}/a", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o444)  # as git makes its objects
        os.write(fd, b"x" * 10)
        os.close(fd)
        assert os.stat(f"{d}/a").st_size == 10
        os.link(f"{d}/a", f"{d}/b")
        os.rename(f"{d}/a", f"{d}/c")
        os.symlink("c", f"{d}/s")
        assert os.readlink(f"{d}/s") == "c"
        os.unlink(f"{d}/b")
        assert sorted(os.listdir(d)) == ["c", "s"], os.listdir(d)
        fd = os.open(f"{d}/c", os.O_RDONLY)
        assert os.read(fd, 100) == b"x" * 10
        os.close(fd)
        os.unlink(f"{d}/s")
        os.unlink(f"{d}/c")
        os.rmdir(d)
        n += 1
    return f"{n} rounds"


def append(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    n = 0
    while not stopped():
        os.write(fd, f"{n}\n".encode())
        n += 1
        if n % 100 == 0:
            os.fsync(fd)
    os.fsync(fd)
    os.close(fd)
    return f"{n} lines"


def bulk(path):
    n = 0
    while not stopped():
        data = os.urandom(65536) * 40
        with open(path, "wb") as f:
            f.write(data)
        with open(path, "rb") as f:
            assert f.read() == data, "other bytes came back"
        n += 1
    return f"{n} times {len(data)} bytes"


def many(base):
    os.mkdir(base)
    n = 0
    while not stopped():
        for i in range(20):
            with open(f"{base}/{i}", "w") as f:
                f.write(f"{n} {i}")
        assert len(os.listdir(base)) == 20, os.listdir(base)
        for i in range(20):
            with open(f"{base}/{i}") as f:
                got = f.read()
                assert got == f"{n} {i}", (got, n, i)
        n += 1
    return f"{n} rounds of 20 files"


if __name__ == "__main__":
    print({"names": names, "append": append, "bulk": bulk, "many": many}[sys.argv[1]](sys.argv[2]))
