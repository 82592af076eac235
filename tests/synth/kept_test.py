#!/usr/bin/env python3
"""ramfs, env and srv across kill -9. This test is their init: it holds what they keep (the protocol of include/cognu/keep.h, which
shares no code with theirs) and the socket that they serve. Prints 'N passed, N failed'."""
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from rig import BUILD, READ, TRUNC, WRITE, Conn, check, equal, p9, report
from shelf import Shelf

class Kept:
    """A server that is started again and again, on one listening socket and one shelf."""

    def __init__(self, name, work, *options):
        self.name, self.options, self.items = name, options, {}
        self.path = os.path.join(work, name)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.log = open(os.path.join(work, name + ".log"), "w+b")
        self.start()

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.shelf = Shelf(ours, self.items)
        fds = (self.listener.fileno(), theirs.fileno())
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "bin", f"cognu-{self.name}"), *self.options, "--fd", str(fds[0]), "--keep", str(fds[1]), "--foreign"],
            pass_fds=fds, stderr=self.log)
        theirs.close()

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self.shelf.sock.shutdown(socket.SHUT_RDWR)
        self.shelf.join(10)

    def again(self):
        self.kill()
        self.start()
        return Conn(self.path)

    def logged(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8") as f:
            return f.read()

    def end(self):
        self.process.terminate()
        equal(f"{self.name} ends well", self.process.wait(10), 0)
        if self.process.returncode != 0:
            print(self.logged()[-4000:])
        for fd in self.items.values():
            os.close(fd)
        self.listener.close()


def make(c, path, data, mode=0o644):
    *folder, name = path.split("/")
    fid, _ = c.walk(c.root, *folder)
    c.create(fid, name, mode, WRITE if not mode & p9.DMDIR else READ)
    for at in range(0, len(data), 4096):
        c.write(fid, at, data[at:at + 4096])
    c.clunk(fid)


def ramfs_keeps_its_tree():
    with tempfile.TemporaryDirectory(prefix="cognu-kept-") as work:
        s = Kept("ramfs", work, "--bytes-max", "16M")
        c = Conn(s.path)
        big = random.Random(1).randbytes(300000)
        make(c, "dir", b"", p9.DMDIR | 0o755)
        make(c, "dir/big", big)
        make(c, "small", b"small")
        c = s.again()
        equal("names are there after a kill", sorted(c.names()), ["dir", "small"])
        equal("and contents", (c.get("dir/big") == big, c.get("small")), (True, b"small"))
        c.put("small", b"again", WRITE | TRUNC)
        c = s.again()
        equal("a change after an adoption, too", c.get("small"), b"again")
        s.process.terminate()
        s.process.wait(10)
        s.start()
        equal("and after an orderly end", Conn(s.path).get("small"), b"again")
        check("the log tells of it", "goes on with" in s.logged())
        s.end()


def acknowledged_is_kept(name, write, read, rounds):
    """A writer counts up; whatever was acknowledged before the kill is there after it."""
    with tempfile.TemporaryDirectory(prefix="cognu-kept-") as work:
        s = Kept(name, work)
        low, delays = 0, random.Random(7)
        for _ in range(rounds):
            c = Conn(s.path)
            done = [low]

            def count(c=c, done=done):
                try:
                    for i in range(done[0] + 1, 1 << 30):
                        write(c, i)
                        done[0] = i
                except (OSError, EOFError, struct.error):
                    pass

            t = threading.Thread(target=count, daemon=True)
            t.start()
            time.sleep(delays.uniform(0.02, 0.15))
            s.kill()
            t.join(20)
            s.start()
            got = read(Conn(s.path))
            if not done[0] <= got <= done[0] + 1:
                check(f"{name} acknowledged {done[0]} and has {got}", False)
            low = got
        check(f"{name}: {rounds} kills, what was acknowledged is there, up to {low}", low > rounds)
        s.end()


def ramfs_under_load():
    def write(c, i):
        fid, _ = c.walk(c.root)
        c.create(fid, f"n{i}", 0o600, WRITE)
        c.clunk(fid)

    acknowledged_is_kept("ramfs", write, lambda c: len(c.names()), 20)


def env_under_load():
    def write(c, i):
        if i == 1:
            make(c, "count", b"")
        c.put("count", str(i).encode(), WRITE)

    acknowledged_is_kept("env", write, lambda c: int(c.get("count")), 20)


def srv_under_load():
    def write(c, i):
        if i == 1:
            make(c, "it", b"alpha!proc n=1")
        else:
            c.put("it", f"alpha!proc n={i}".encode(), WRITE)

    acknowledged_is_kept("srv", write, lambda c: int(c.get("it").split(b"=")[1]), 20)


def env_and_srv_keep_their_tables():
    with tempfile.TemporaryDirectory(prefix="cognu-kept-") as work:
        env, srv = Kept("env", work), Kept("srv", work)
        c = Conn(env.path)
        for name, value in (("one", b"1"), ("gone", b"x"), ("long", b"v" * 60000), ("empty", b"")):
            make(c, name, value)
        c.remove(c.at("gone"))
        c = env.again()
        equal("variables in their order", c.names(), ["one", "long", "empty"])
        equal("and their values", (c.get("one"), c.get("long"), c.get("empty")), (b"1", b"v" * 60000, b""))
        make(c, "new", b"n")
        equal("new ones come last", env.again().names(), ["one", "long", "empty", "new"])
        c = Conn(srv.path)
        make(c, "scratch", b"beta!ramfs!scratch kind=cache 'owner=ann b'")
        make(c, "brief", b"alpha!proc lease=1")
        c = srv.again()
        equal("posts", c.get("scratch"), b"beta!ramfs!scratch kind=cache 'owner=ann b'\n")
        time.sleep(1.1)
        equal("a lease runs on meanwhile", c.names(), ["query", "scratch"])
        env.end()
        srv.end()


def damaged_memory_is_refused():
    with tempfile.TemporaryDirectory(prefix="cognu-kept-") as work:
        s = Kept("env", work)
        make(Conn(s.path), "one", b"1")
        s.kill()
        os.pwrite(s.items[b"vars"], b"\x63\x00", 4096 + 2)  # the class of the first chunk
        s.start()
        c = Conn(s.path)
        equal("a damaged book is not believed", c.names(), [])
        check("and the log says so", "begins anew" in s.logged() and "chunk 1" in s.logged())
        make(c, "two", b"2")
        equal("the new one is kept", s.again().names(), ["two"])
        s.end()


if __name__ == "__main__":
    sys.exit(report(ramfs_keeps_its_tree, env_and_srv_keep_their_tables, damaged_memory_is_refused, ramfs_under_load, env_under_load,
                    srv_under_load))
