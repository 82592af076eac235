#!/usr/bin/env python3
"""srv: posting, reading, querying and removing services through 9P2000. Prints 'N passed, N failed'."""
import os
import signal
import sys
import time

from rig import READ, RDWR, TRUNC, WRITE, as_other_user, check, detailed, equal, p9, refused, report, served, until


def post(c, name, text):
    fid, _ = c.walk(c.root)
    c.create(fid, name, 0o644, WRITE)
    try:
        c.write(fid, 0, text.encode())
    finally:
        c.clunk(fid)


def query(c, text=None):
    fid = c.at("query", RDWR)
    if text is not None:
        c.write(fid, 0, text.encode())
    out = c.read_all(fid).decode().splitlines()
    c.clunk(fid)
    return out


def posting():
    with served("srv") as (connect, _):
        c = connect()
        equal("nothing is posted", c.names(), ["query"])
        post(c, "scratch", "beta!ramfs!scratch  kind=cache 'owner=ann b' empty=\n")
        equal("a post reads in its canonical form", c.get("scratch"), b"beta!ramfs!scratch kind=cache 'owner=ann b' empty=\n")
        equal("others see it", connect().get("scratch"), c.get("scratch"))
        post(c, "plain", "alpha!proc")
        equal("a tree and attributes may be left out", c.get("plain"), b"alpha!proc\n")
        key = "0123456789abcdef" * 4
        post(c, "key", f"{key}!proc")
        equal("a node may be a key", c.get("key"), f"{key}!proc\n".encode())
        equal("all are listed", c.names(), ["query", "scratch", "plain", "key"])
        c.put("plain", b"beta!proc x=1", WRITE | TRUNC)
        equal("a second write replaces", c.get("plain"), b"beta!proc x=1\n")
        fid = c.at("plain", RDWR)
        for text in ("", "beta", "beta!", "!proc", "beta!proc!", "beta!proc!a!b", "be ta!proc", "beta!pr/oc", ".!proc",
                     f"{key}0!proc", "beta!" + "x" * 64, "beta!proc x", "beta!proc =x", "beta!proc x=1 x=2", "beta!proc 'x",
                     "beta!proc node=beta", "beta!proc lease=0", "beta!proc lease=x", "beta!proc lease=86401",
                     "beta!proc lease=-1", "a!b\nc!d", "a!b\0", "a!b x=\x01", "a!b x=" + "y" * 2048,
                     "a!b " + " ".join(f"a{i}=" for i in range(17)), "# no post"):
            refused(f"no post: {text[:30]!r}", c.write, fid, 0, text.encode())
        equal("what was refused changed nothing", c.get("plain"), b"beta!proc x=1\n")
        refused("a post that is refused at first", post, c, "bad", "beta")
        refused("is gone", c.at, "bad")
        equal("and not listed", c.names(), ["query", "scratch", "plain", "key"])
        for name in ("a b", "-x", "x" * 64, ".x", "ä"):
            refused(f"no name: {name[:10]}", post, c, name, "a!b")
        refused("query is no service", c.create, c.walk(c.root)[0], "query", 0o644 | p9.DMDIR, READ)
        refused("nor a directory", c.create, c.walk(c.root)[0], "dir", 0o755 | p9.DMDIR, READ, says="plain file")
        c.remove(c.at("key"))
        equal("removed", c.names(), ["query", "scratch", "plain"])
        refused("what was removed is not written", (lambda f: (c.remove(c.at("plain")), c.write(f, 0, b"a!b"))), fid, says="gone")
        refused("query stays", c.remove, c.at("query"))


def querying():
    with served("srv") as (connect, _):
        c = connect()
        post(c, "a", "alpha!ramfs kind=cache size=1")
        post(c, "b", "beta!ramfs!tmp kind=cache size=2")
        post(c, "c", "beta!net kind=net 'say=it''s = me'")
        equal("without a query: all", query(c), ["a alpha!ramfs kind=cache size=1", "b beta!ramfs!tmp kind=cache size=2",
                                                 "c beta!net kind=net 'say=it''s = me'"])
        def names(text):
            return [line.split()[0] for line in query(c, text)]
        equal("an empty one: all", names(""), ["a", "b", "c"])
        equal("one attribute", names("kind=cache"), ["a", "b"])
        equal("two", names("kind=cache size=2"), ["b"])
        equal("none has it", names("kind=disk"), [])
        equal("an unknown attribute", names("colour=red"), [])
        equal("what the dial string says", (names("node=beta"), names("service=ramfs"), names("tree=tmp"), names("name=c")),
              (["b", "c"], ["a", "b"], ["b"], ["c"]))
        equal("a quoted value", names("'say=it''s = me'"), ["c"])
        fid = c.at("query", RDWR)
        c.write(fid, 0, b"kind=net")
        equal("each handle has its own", (names("kind=cache"), c.read_all(fid)[:1]), (["a", "b"], b"c"))
        refused("no query", c.write, fid, 0, b"kind", says="NAME=VALUE")
        equal("a refused one changes nothing", c.read_all(fid)[:1], b"c")


def leases():
    with served("srv") as (connect, _):
        c = connect()
        post(c, "short", "a!b lease=1")
        post(c, "kept", "a!b lease=1")
        post(c, "long", "a!b lease=100")
        post(c, "freed", "a!b lease=1")
        equal("all are there", c.names(), ["query", "short", "kept", "long", "freed"])
        c.put("freed", b"a!b")
        time.sleep(0.6)
        c.put("kept", b"a!b lease=1")
        held = c.at("short", READ)
        check("a post that is not written again vanishes", until(lambda: "short" not in c.names(), 2))
        equal("one that is stays", c.names(), ["query", "kept", "long", "freed"])
        refused("what vanished is not read", c.read, held, 0, 100, says="gone")
        equal("nor found by a query", len(query(c)), 3)
        check("it vanishes in its turn", until(lambda: "kept" not in c.names(), 2))
        equal("without a lease none does", c.names(), ["query", "long", "freed"])


def limits():
    with served("srv") as (connect, _):
        c = connect()
        for i in range(256):
            post(c, f"s{i}", "a!b")
        refused("256 of one user are the most", post, c, "more", "a!b", says="256")
        names = c.names()
        check("all are listed once", len(names) == len(set(names)) == 257)


def owners():
    if os.geteuid() != 0:
        return
    with served("srv") as (connect, _):
        c = connect()
        post(c, "mine", "a!b")
        equal("others may read", as_other_user(connect, lambda d: d.get("mine").decode()), "a!b\n")
        detailed("but not write", as_other_user(connect, lambda d: d.put("mine", b"x!y")), "this file belongs to another user")
        detailed("nor create over it", as_other_user(connect, lambda d: post(d, "mine", "x!y")),
              "file already exists")
        detailed("nor remove", as_other_user(connect, lambda d: d.remove(d.at("mine"))), "another user posted 'mine'")
        equal("they may post", as_other_user(connect, lambda d: post(d, "theirs", "c!d")), "None")
        equal("and rewrite their own", as_other_user(connect, lambda d: d.put("theirs", b"e!f")), "3")
        equal("which the node's user sees", c.get("theirs"), b"e!f\n")
        c.remove(c.at("theirs"))
        equal("and removes", c.names(), ["query", "mine"])


if __name__ == "__main__":
    signal.alarm(100)
    sys.exit(report(posting, querying, leases, limits, owners))
