#!/usr/bin/env python3
"""chan: files that programs serve, through 9P2000. Prints 'N passed, N failed'."""
import sys

from rig import READ, RDWR, WRITE, as_other_user, check, equal, p9, refused, report, served, struct


class Program:
    """Serves a file: reads messages, writes answers."""

    def __init__(self, c, line):
        self.c = c
        self.fid = c.at("clone", RDWR)
        self.say(line)

    def say(self, text):
        return self.c.write(self.fid, 0, text if isinstance(text, bytes) else text.encode())

    def next(self):
        return self.c.read(self.fid, 0, 8168)

    def end(self):
        self.c.clunk(self.fid)


def begin_write(c, fid, data, offset=0):
    return c.begin(p9.TWRITE, struct.pack("<IQI", fid, offset, len(data)) + data)


def reads_and_writes():
    with served("chan") as (connect, _):
        server, user = connect(), connect()
        equal("at first there is no file", user.names(), ["clone"])
        program = Program(server, "serve one")
        equal("a program makes one", sorted(user.names()), ["clone", "one"])
        fid = user.at("one", RDWR)
        word = program.next().split()
        equal("it is told of an open", word[0], b"open")
        tag = user.begin_read(fid, 7, 100)
        message = program.next().split()
        equal("and of a read", message[0:1] + message[2:], [b"read", word[1], b"7", b"100"])
        check("which waits", user.waits(tag))
        program.say(b"data " + message[1] + b"\nhello\nthere")
        equal("for its answer", user.end_read(tag), b"hello\nthere")
        tag = begin_write(user, fid, b"to you", 3)
        head, data = program.next().split(b"\n", 1)
        equal("a write comes with its bytes", (head.split()[0], head.split()[3:], data), (b"write", [b"3", b"6"], b"to you"))
        program.say(b"ok " + head.split()[1])
        equal("and is answered", struct.unpack("<I", user.end(tag))[0], 6)
        tag = user.begin_read(fid)
        number = program.next().split()[1]
        program.say(b"error " + number + b" not today, it's late")
        refused("an error has the program's words", user.end, tag, says="not today, it's late")
        tag = user.begin_read(fid)
        number = program.next().split()[1]
        refused("more than was asked is refused", program.say, b"data " + number + b"\n" + b"x" * 5000, says="no more bytes")
        program.say(b"data " + number + b"\n")
        equal("no data is the end", user.end_read(tag), b"")
        refused("an answer to nothing", program.say, b"ok 12345", says="waits for no answer")
        refused("nonsense", program.say, b"hello", says="a message is")
        tag = user.begin_read(fid)
        number = program.next().split()[1]
        check("a read is cancelled", user.flush(tag))
        refused("its answer comes too late", program.say, b"data " + number + b"\nx", says="cancelled")
        user.clunk(fid)
        equal("it is told of the close", program.next().split(), [b"close", word[1]])


def several():
    with served("chan") as (connect, _):
        server, a, b = connect(), connect(), connect()
        program = Program(server, "serve many")
        fa, fb = a.at("many", READ), b.at("many", READ)
        ta, tb = a.begin_read(fa), b.begin_read(fb)
        got = [program.next().split() for _ in range(4)]
        opens = [m[1] for m in got if m[0] == b"open"]  # a's, then b's
        number = {m[2]: m[1] for m in got if m[0] == b"read"}
        program.say(b"data " + number[opens[1]] + b"\ntwo")
        program.say(b"data " + number[opens[0]] + b"\none")
        equal("answers come in any order", (a.end_read(ta), b.end_read(tb)), (b"one", b"two"))
        big = bytes(range(256)) * 400
        tag = begin_write(a := connect(), a.at("many", WRITE), big[:8000])
        m = program.next()
        while m.split()[0] != b"write":
            m = program.next()
        equal("a write arrives whole", m.split(b"\n", 1)[1], big[:8000])
        program.say(b"ok " + m.split()[1])
        a.end(tag)
        refused("a name is served once", Program, server, "serve many", says="another program serves")
        refused("clone is no name", Program, server, "serve clone", says="no name")
        refused("nor is a path", Program, server, "serve a/b", says="no name")
        tag = b.begin_read(fb)
        check("a reader waits", b.waits(tag))
        program.end()
        refused("who waits is told of the end", b.end, tag, says="has ended")
        refused("who comes later too", b.read, fb, 0, 10, says="has ended")
        equal("the file is gone", [n for n in b.names() if n == "many"], [])


def owners():
    with served("chan") as (connect, _):
        program, other = Program(connect(), "serve mine"), Program(connect(), "serve ours public")
        text = as_other_user(connect, lambda c: c.get("mine"))
        check(f"a file is its owner's: '{text}'", "belongs to another" in text)

        def ask(c):
            fid = c.at("ours", READ)
            return c.waits(c.begin_read(fid))
        equal("a public one is everybody's", as_other_user(connect, ask), "True")
        program.end()
        other.end()


def limits():
    with served("chan") as (connect, _):
        c = connect()
        programs = [Program(c, f"serve f{i}") for i in range(64)]
        refused("64 of one user are the most", Program, c, "serve more", says="64 of one user")
        programs.pop().end()
        programs.append(Program(c, "serve more"))
        check("one that ends makes room", True)
        user = connect()
        fid = user.at("f0", READ)
        tags = [user.begin_read(fid) for _ in range(256)]
        refused("256 requests wait at most", user.read, fid, 0, 10, says="256 requests wait")
        c.clunk(programs[0].fid)
        for tag in tags:
            try:
                user.end(tag)
            except p9.Error:
                pass
        check("all are answered at the end", True)


if __name__ == "__main__":
    sys.exit(report(reads_and_writes, several, owners, limits))
