#!/usr/bin/env python3
"""export: parts of namespaces as trees, through 9P2000, over a file server of its own. Prints 'N passed, N failed'."""
import contextlib
import os
import subprocess
import sys
import tempfile

from rig import BUILD, RDWR, READ, Conn, as_other_user, check, equal, listens, refused, report, served, until


@contextlib.contextmanager
def files():
    """A hostfs whose socket is in a folder of services; gives that folder, and the folder that it serves."""
    with tempfile.TemporaryDirectory(prefix="cognu-export-") as work:
        srv, root = os.path.join(work, "srv"), os.path.join(work, "root")
        os.mkdir(srv)
        os.makedirs(os.path.join(root, "part/sub"))
        for name, text in (("part/f", "inside"), ("secret", "outside")):
            with open(os.path.join(root, name), "w") as f:
                f.write(text)
        os.symlink("../secret", os.path.join(root, "part/link"))
        socket = os.path.join(srv, "hostfs")
        server = subprocess.Popen([os.path.join(BUILD, "bin", "cognu-hostfs"), "--tree", f"root={root}", "--socket", socket])
        try:
            until(lambda: listens(socket))
            yield srv, root
        finally:
            server.terminate()
            server.wait()


def serve(c, line, text="mount -c .!hostfs!root /\n"):
    fid = c.at("clone", RDWR)
    c.write(fid, 0, f"{line}\n{text}".encode())
    return fid


class Tree(Conn):
    """A connection to one of the trees."""

    def __init__(self, path, name):
        self.name = name
        super().__init__(path)

    def attach(self, **named):
        return super().attach(aname=self.name, **named)


def trees():
    with files() as (srv, root), served("export", "--srv", srv, "--self", "here") as (connect, _):
        c = connect()
        path = c.sock.getpeername()
        fid = serve(c, "serve one rw /part")
        equal("the file tells its name", c.read(fid, 0, 100), b"one\n")
        equal("exports lists it", c.get("exports").split()[:3], [b"one", b"rw", b"/part"])
        t = Tree(path, "one")
        equal("its names are the folder's", sorted(t.names()), ["f", "link", "sub"])
        equal("a file is read", t.get("f"), b"inside")
        t.put("f", b"changed")
        with open(os.path.join(root, "part/f")) as f:
            equal("and written", f.read(), "changed")
        fid2, count = t.walk(t.root, "..")
        equal("its root is its own parent", sorted(r["name"] for r in t.list((t.open(fid2, READ), fid2)[1])), ["f", "link", "sub"])
        refused("nothing outside has a name", t.get, "../secret", says="walked")
        ro = serve(c, "serve two ro /part")
        r = Tree(path, "two")
        equal("a read-only one is read", r.get("f"), b"changed")
        refused("not written", r.put, "f", b"x", says="read-only")
        refused("a name is given once", serve, c, "serve one rw /", says="there already")
        refused("what is not there", serve, c, "serve three rw /none", says="")
        refused("a file", serve, c, "serve three rw /part/f", says="only directories")
        refused("nonsense", serve, c, "hello", says="write: serve NAME")
        refused("a tree of no name here", Tree, path, "four", says="nothing is exported here")
        c.clunk(ro)
        refused("closed, its files are stale", r.get, "f", says="ended")
        equal("and it is not listed", b"two" in c.get("exports"), False)
        equal("the other goes on", t.get("f"), b"changed")
        last = serve(c, "serve last ro /part")
        l = Tree(path, "last")
        c.write(last, 0, b"end\n")
        refused("after the word end it serves nothing", l.get, "f", says="ended")
        refused("the word ends what is served", c.write, last, 0, b"end\n", says="serves nothing")
        c.clunk(last)
        text = as_other_user(connect, lambda o: o.at("clone", RDWR))
        check(f"others make none: '{text}'", "only the user of this node" in text)
        text = as_other_user(connect, lambda o: Tree(path, "one").get("f"))
        check(f"others do not attach it: '{text}'", "is not for this user" in text)


def ends():
    """The server ends while exports are used."""
    with files() as (srv, _), served("export", "--srv", srv, "--self", "here") as (connect, _):
        c = connect()
        fid = serve(c, "serve one rw /part")
        t = Tree(c.sock.getpeername(), "one")
        open_file = t.at("f", READ)
        equal("it is in use", t.read(open_file, 0, 6), b"inside")
        t.begin_read(open_file)
        check("and is held by its clone", c.read(fid, 0, 100) == b"one\n")


if __name__ == "__main__":
    sys.exit(report(trees, ends))
