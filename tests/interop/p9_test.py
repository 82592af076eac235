#!/usr/bin/env python3
"""A 9P2000 exchange with our file server, by a client that shares no code with it.

usage: p9_test.py            starts build/bin/cognu-ramfs on a Unix socket and on plaintext TCP

Prints one line a check, and 'N passed, N failed'.
"""
import os
import struct
import subprocess
import sys
import tempfile

import ours
import p9client as p9

checks = []


def check(what, good):
    checks.append(good)
    print(("ok " if good else "bad ") + what)


def refused(what, call, *args, **named):
    try:
        call(*args, **named)
        check(what, False)
    except p9.Error as e:
        check(f"{what}: '{e}'", bool(str(e)))


def files(c, root):
    d, _ = c.walk(root)
    c.create(d, "dir", p9.DMDIR | 0o755, p9.OREAD)
    f, n = c.walk(root, "dir")
    check("walks to what it made", n == 1)
    c.create(f, "file", 0o644, p9.ORDWR)
    data = bytes(range(256)) * 100
    at = 0
    while at < len(data):
        at += c.write(f, at, data[at:at + 4000])
    check("reads what it wrote", c.read_all(f) == data)
    st = c.stat(f)
    check("stat says name, length and mode", (st["name"], st["length"], st["mode"]) == ("file", len(data), 0o644))
    c.wstat(f, length=10)
    check("wstat truncates", c.stat(f)["length"] == 10)
    c.wstat(f, mode=0o600, mtime=1000000000)
    st = c.stat(f)
    check("wstat sets mode and time", (st["mode"], st["mtime"]) == (0o600, 1000000000))
    c.wstat(f, name="other")
    check("wstat renames", c.stat(f)["name"] == "other")
    g, n = c.walk(root, "dir", "other")
    check("the new name is walked to", n == 2)
    c.open(g, p9.OWRITE | p9.OTRUNC)
    check("open truncates", c.stat(g)["length"] == 0)
    c.clunk(g)
    c.clunk(f)


def directories(c, root):
    names = {f"entry{i:03}" for i in range(200)}
    for name in names:
        f, _ = c.walk(root, "dir")
        c.create(f, name, 0o644, p9.OWRITE)
        c.clunk(f)
    d, _ = c.walk(root, "dir")
    c.open(d, p9.OREAD)
    listed = [r["name"] for r in c.list(d)]
    check("a listing in small pieces has each name once", sorted(listed) == sorted(names | {"other"}))
    refused("a listing is not read from the middle of a record", c.read, d, 7, 512)
    c.clunk(d)
    up, n = c.walk(root, "dir", "..", "dir", "entry000", "..")
    check("walks up by ..", n == 5 and c.stat(up)["name"] == "dir")
    here, n = c.walk(root, ".", "dir", ".")
    check("walks to where it is by .", n == 3 and c.stat(here)["name"] == "dir")
    top, n = c.walk(root, "..", "..")
    check("the root's .. is the root", n == 2 and c.stat(top)["qid"][2] == c.stat(root)["qid"][2])


def refusals(c, root):
    _, n = c.walk(root, "dir", "none", "more")
    check("a walk that fails later tells how far it came", n == 1)
    refused("a walk that fails at once is an error", c.walk, root, "none")
    f, _ = c.walk(root, "dir")
    refused("a directory is not opened for writing", c.open, f, p9.OWRITE)
    refused("a directory is not opened to be removed", c.open, f, p9.OREAD | p9.ORCLOSE)
    refused("a directory is not read before it is opened", c.read, f, 0, 512)
    refused("an exclusive file is not made", c.create, f, "lock", 0x20000000 | 0o644, p9.OWRITE)
    refused("a file's kind is not changed", c.wstat, f, mode=0o755)
    refused("an unknown message is refused", c.rpc, 98, b"")
    refused("an unknown fid is refused", c.stat, 12345)
    refused("a fid is not used twice", c.rpc, p9.TATTACH, struct.pack("<II", root, p9.NOFID) + p9.s("x") + p9.s(""))
    refused("authentication is not asked for", c.rpc, p9.TAUTH, struct.pack("<I", 99) + p9.s("x") + p9.s(""))
    refused("a full directory is not removed", c.remove, f)
    refused("remove clunks even when it fails", c.stat, f)


def removing(c, root):
    f, _ = c.walk(root, "dir", "entry000")
    c.remove(f)
    refused("what was removed is gone", c.walk, root, "dir", "entry000") if c.walk(root, "dir")[1] != 1 else check(
        "what was removed is gone", c.walk(root, "dir", "entry000")[1] == 1)
    f, _ = c.walk(root, "dir", "entry001")
    c.open(f, p9.OREAD | p9.ORCLOSE)
    c.clunk(f)
    check("remove on close removes", c.walk(root, "dir", "entry001")[1] == 1)


def permissions(c, root):
    f, _ = c.walk(root)
    c.create(f, "private", p9.DMDIR | 0o700, p9.OREAD)
    c.clunk(f)
    f, _ = c.walk(root, "private")
    c.create(f, "file", 0o667, p9.ORDWR)
    check("a new file is no more open than its folder", c.stat(f)["mode"] == 0o601)
    c.clunk(f)
    f, _ = c.walk(root, "private")
    c.create(f, "sub", p9.DMDIR | 0o755, p9.OREAD)
    check("nor is a new folder", c.stat(f)["mode"] == p9.DMDIR | 0o700)
    check("it is open for reading", c.list(f) == [])
    c.clunk(f)


def renaming(c, root):
    f, _ = c.walk(root, "private")
    deep, _ = c.walk(root, "private", "file")
    c.wstat(f, name="public")
    check("fids below a renamed folder follow", c.stat(deep)["name"] == "file")
    up, n = c.walk(deep, "..", "..")
    check("and walk up its new path", n == 2 and c.stat(up)["qid"] == c.stat(root)["qid"])
    c.remove(deep)
    check("and remove there", c.walk(root, "public", "file")[1] == 1)
    f, _ = c.walk(root, "public", "sub")
    other, _ = c.walk(root, "public", "sub")
    c.remove(other)
    again, _ = c.walk(root, "public")
    c.create(again, "sub", 0o644, p9.OWRITE)
    refused("a fid whose name stands for another file removes nothing", c.remove, f)
    check("and the other file is there", c.walk(root, "public", "sub")[1] == 2)


def failing_open_keeps(c, root):
    f, _ = c.walk(root, "public")
    refused("a name that exists is not made again", c.create, f, "sub", 0o644, p9.OWRITE | p9.ORCLOSE)
    c.clunk(f)
    check("a failed create does not remove the folder on close", c.walk(root, "public")[1] == 1)
    f, _ = c.walk(root, "public", "sub")
    c.open(f, p9.OREAD)
    refused("an open fid is not opened again", c.open, f, p9.OREAD | p9.ORCLOSE)
    c.clunk(f)
    check("a failed open does not remove on close", c.walk(root, "public", "sub")[1] == 2)


def pipelined(c, root):
    """Requests that work on a fid while it is clunked, and the same number at once again."""
    f, _ = c.walk(root, "dir", "other")
    fid = struct.pack("<I", f)
    c.send(p9.TSTAT, fid, 1)
    c.send(p9.TCLUNK, fid, 2)
    c.send(p9.TCLUNK, fid, 3)
    c.send(p9.TWALK, struct.pack("<IIH", root, f, 1) + p9.s("dir"), 4)
    c.send(p9.TSTAT, fid, 5)
    answers = dict((tag, kind) for kind, tag, _ in (c.receive() for _ in range(5)))
    check("a fid that is clunked twice is clunked once", answers == {
        1: p9.TSTAT + 1, 2: p9.TCLUNK + 1, 3: p9.RERROR, 4: p9.TWALK + 1, 5: p9.TSTAT + 1})
    for _ in range(300):
        c.clunk(c.attach())
    check("attaches that are clunked are forgotten", c.stat(f)["name"] == "dir")


def flushing(c, root):
    f, _ = c.walk(root, "dir", "other")
    c.send(p9.TSTAT, struct.pack("<I", f), 7)
    c.send(p9.TFLUSH, struct.pack("<H", 7), 8)
    answers = []
    while not answers or answers[-1][1] != 8:
        answers.append(c.receive())
    check("a flush is answered last", answers[-1][0] == p9.TFLUSH + 1 and len(answers) <= 2)
    c.send(p9.TFLUSH, struct.pack("<H", 9), 9)
    check("a flush of itself or of nothing is answered", c.receive()[:2] == (p9.TFLUSH + 1, 9))
    check("the connection goes on after a flush", c.stat(f)["name"] == "other")


def plaintext(port, c, root):
    """Whoever comes over plaintext TCP is nobody."""
    f, _ = c.walk(root)
    c.create(f, "secret", 0o600, p9.OWRITE)
    tcp = p9.Client(("127.0.0.1", port))
    top = tcp.attach()
    f, _ = tcp.walk(top, "secret")
    refused("nobody may not read what is private", tcp.open, f, p9.OREAD)
    f, _ = tcp.walk(top)
    tcp.create(f, "theirs", 0o644, p9.OWRITE)
    check("what nobody makes is nobody's", tcp.stat(f)["uid"] == "65534")


def main():
    build = os.environ.get("COGNU_BUILD", os.path.abspath("build"))
    with tempfile.TemporaryDirectory(prefix="cognu-p9-") as work:
        path, port = os.path.join(work, "sock"), ours.free_port()
        server = subprocess.Popen([os.path.join(build, "bin", "cognu-ramfs"), "--root-mode", "777",
                                   "--plaintext-tcp", f"127.0.0.1:{port}", "--socket", path])
        try:
            ours.wait_for_port(port)
            ours.wait_for_socket(path)
            c = p9.Client(path)
            check("9P2000 is agreed", c.version == "9P2000" and c.msize <= 8192)
            check("an unknown version is answered so", p9.Client(path, version="9Q").version == "unknown")
            check("9P2000.u falls back to 9P2000", p9.Client(path, version="9P2000.u").version == "9P2000")
            root = c.attach()
            for part in (files, directories, refusals, removing, permissions, renaming, failing_open_keeps, pipelined, flushing):
                part(c, root)
            plaintext(port, c, root)
        except (p9.Error, EOFError, OSError) as e:
            check(f"{type(e).__name__}: {e}", False)
        finally:
            server.terminate()
            server.wait()
    failed = checks.count(False)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
