#!/usr/bin/env python3
"""exec: jobs through 9P2000: streams, the end, signals, terminals, ownership. Prints 'N passed, N failed'."""
import os
import shlex
import signal
import struct
import sys
import tempfile
import time

from rig import READ, RDWR, WRITE, as_other_user, check, detailed, equal, p9, refused, report, served, until


class Job:
    """A job that this connection owns."""

    def __init__(self, c, *lines):
        self.c = c
        self.ctl, _ = c.walk(c.root, "clone")
        c.open(self.ctl, RDWR)
        self.number = int(c.read(self.ctl, 0, 100))
        for line in lines:
            self.say(line)

    def say(self, line):
        return self.c.write(self.ctl, 0, line.encode())

    def open(self, name, mode=READ):
        return self.c.at(f"{self.number}/{name}", mode)

    def get(self, name):
        """A stream to its end."""
        fid, out = self.open(name), b""
        while piece := self.c.read(fid, len(out), 4096):
            out += piece
        self.c.clunk(fid)
        return out

    def status(self):
        return self.c.get(f"{self.number}/status").decode()

    def end(self):
        self.c.clunk(self.ctl)


def alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def run(c, line):
    """Runs a command line of exec to its end: (stdout, stderr, wait)."""
    job = Job(c, "exec " + line)
    out = job.get("stdout"), job.get("stderr"), job.get("wait").decode()
    job.end()
    return out


def basics():
    with served("exec") as (connect, _):
        c = connect()
        equal("no jobs at first", c.names(), ["clone", "allow"])
        equal("words and output", run(c, "echo one 'two  three' 'it''s'"), (b"one two  three it's\n", b"", "exit 0\n"))
        equal("stderr is apart", run(c, "sh -c 'echo a; echo b >&2; exit 7'"), (b"a\n", b"b\n", "exit 7\n"))
        equal("a newline in a quoted word", run(c, "sh -c 'echo a\necho b'"), (b"a\nb\n", b"", "exit 0\n"))
        equal("what is not found", run(c, "no-such-command-here"),
              (b"", b"no-such-command-here: No such file or directory\n", "exit 127\n"))
        equal("what is no program", run(c, "/etc/passwd"), (b"", b"/etc/passwd: Permission denied\n", "exit 126\n"))
        equal("death by signal", run(c, "sh -c 'kill -TERM $$'")[2], "signal 15\n")
        many = " ".join(f"w{i}" for i in range(600))
        equal("many words", run(c, "echo " + many)[0], many.encode() + b"\n")
        equal("jobs are gone with their ctl", c.names(), ["clone", "allow"])
        job = Job(c)
        equal("a fresh one is new", job.status(), "new 0 \n")
        job.say("dir /usr\nenv 'GREETING=hello  you'\nenv EMPTY=")
        job.say("exec sh -c 'pwd; echo \"$GREETING\" \"[$EMPTY]\"'")
        check("status tells pid and words", job.status().startswith("running ") and "GREETING" in job.status()
              or job.status().startswith("ended "))
        equal("folder and variables", job.get("stdout"), b"/usr\nhello  you []\n")
        equal("the end can be read again", (job.get("wait"), job.get("wait")), (b"exit 0\n", b"exit 0\n"))
        equal("the tree of a job", sorted(c.names(str(job.number))),
              ["ctl", "status", "stderr", "stdin", "stdout", "wait"])
        job.end()
        equal("a folder that is not there", (lambda j: (j.get("stderr"), j.get("wait")))(
            Job(c, "dir /no/such", "exec true")), (b"/no/such: No such file or directory\n", b"exit 126\n"))


def refusals():
    with served("exec") as (connect, _):
        c = connect()
        job = Job(c)
        refused("no command", job.say, "exec", says="needs a command")
        refused("an open quote", job.say, "exec 'echo", says="quote")
        refused("a NUL", job.say, "exec echo \0", says="NUL")
        refused("no such order", job.say, "dance", says="'dance' is no command for a job that is not started")
        refused("a variable without =", job.say, "env NAME", says="NAME=VALUE")
        refused("a namespace without a launcher", job.say, "ns 'jail'", says="without a namespace")
        refused("a size that is none", job.say, "tty 24 many", says="numbers")
        refused("a size too large", job.say, "tty 24 70000", says="65535")
        refused("no signal before the start", job.say, "note term", says="not started")
        value = "x" * 4000
        for i in range(65):
            job.say(f"env V{i}={value}")
        refused("too many variables", job.say, f"env V={value}", says="262144")
        fid = job.open("stdout")
        refused("no output before the start", c.read, fid, 0, 10, says="not started")
        refused("stdout is not written", job.open, "stdout", WRITE, says="only read")
        refused("stdin is not read", job.open, "stdin", READ, says="only written")
        job.say("# a comment\n\nexec sleep 100")
        refused("it starts once", job.say, "exec true", says="running")
        refused("no such signal", job.say, "note sing", says="sing")
        refused("not even 0", job.say, "note 0", says="0")
        job.end()
        refused("no such job", c.at, "99/ctl", says="99")
        for name in ("0", "01", "+1", "x", "18446744073709551617"):
            refused(f"a job is not called {name}", c.at, name)
        refused("nothing is made", c.create, c.walk(c.root)[0], "x", 0o644, WRITE, says="cannot be made")
        check("it ends", until(lambda: c.names() == ["clone", "allow"]))
        jobs = [Job(c) for _ in range(256)]
        refused("256 jobs are the most", Job, c, says="256")
        check("all are listed", len(set(c.names())) == 258)
        for j in jobs:
            j.end()
        equal("and go", c.names(), ["clone", "allow"])


def streams():
    with served("exec") as (connect, _):
        c = connect()
        job = Job(c, "exec cat")
        out, into = job.open("stdout"), job.open("stdin", WRITE)
        tag = c.begin_read(out)
        check("reading waits for output", c.waits(tag))
        c.write(into, 0, b"hello")
        equal("which comes", c.end_read(tag), b"hello")
        tag = c.begin_read(out)
        check("a cancelled read is not answered", c.waits(tag) and c.flush(tag))
        c.write(into, 0, b"more")
        equal("and takes nothing away", c.read(out, 0, 100), b"more")
        wait = c.begin_read(job.open("wait"))
        check("wait waits", c.waits(wait))
        tag = c.begin_read(out)
        job.say("eof")
        equal("eof ends the input, and so the output", c.end_read(tag), b"")
        equal("and the command", c.end_read(wait), b"exit 0\n")
        refused("then nothing is written", c.write, into, 0, b"x", says="takes no more")
        job.end()
        refused("a job that is gone is read no more", c.read, out, 0, 10, says="not started, or is over")
        big = os.urandom(3 << 20)
        job = Job(c, "exec sha256sum")
        d = connect()
        into = d.at(f"{job.number}/stdin", WRITE)
        at = 0
        while at < len(big):
            at += d.write(into, at, big[at:at + 8000])
        d.clunk(into)
        job.say("eof")
        import hashlib
        equal("three MiB arrive, written by another connection", job.get("stdout").split()[0].decode(),
              hashlib.sha256(big).hexdigest())
        job.end()
        job = Job(c, "exec sh -c 'yes | head -c 2000000; sleep 0.1'")
        out = job.open("stdout")
        time.sleep(0.2)
        check("a command waits for its reader", job.status().startswith("running"))
        total = 0
        while piece := c.read(out, total, 8000):
            total += len(piece)
        equal("and loses nothing", total, 2000000)
        job.end()
        job = Job(c, "exec cat")
        fid = job.open("stdout")
        tags = [c.begin_read(fid) for _ in range(16)]
        refused("17 readers of one stream are too many", c.read, fid, 0, 10, says="too many")
        job.say("eof")
        check("all that wait are told the end", all(c.end_read(t) == b"" for t in tags))
        job.end()
        job = Job(c, "exec sleep 100")
        into = job.open("stdin", WRITE)
        tag = c.begin(p9.TWRITE, struct.pack("<IQI", into, 0, 8000) + bytes(8000))
        for _ in range(20):  # the pipe fills
            if c.waits(tag, 0.05):
                break
            c.end(tag)
            tag = c.begin(p9.TWRITE, struct.pack("<IQI", into, 0, 8000) + bytes(8000))
        check("writing waits for a reader", c.waits(tag))
        check("and is cancelled", c.flush(tag))
        job.end()


def signals():
    with served("exec") as (connect, _):
        c = connect()
        for note, number in (("term", 15), ("interrupt", 2), ("hup", 1), ("SIGUSR1"[3:].lower(), 10), ("9", 9)):
            job = Job(c, "exec sleep 100", f"note {note}")
            equal(f"note {note}", job.get("wait"), f"signal {number}\n".encode())
            job.end()
        job = Job(c, "exec sh -c 'trap \"echo caught; exit 3\" TERM; echo ready; while :; do sleep 0.01; done'")
        out = job.open("stdout")
        equal("a trap is set", c.read(out, 0, 100), b"ready\n")
        job.say("note term")
        equal("it is caught", (c.read(out, 0, 100), job.get("wait")), (b"caught\n", b"exit 3\n"))
        refused("what is over is not signalled", job.say, "note term", says="over")
        job.end()
        job = Job(c, "exec sleep 100")
        pid = int(job.status().split()[1])
        job.say("note stop")
        check("stop stops", until(lambda: open(f"/proc/{pid}/stat").read().split()[2] == "T"))
        job.say("note start")
        check("start goes on", until(lambda: open(f"/proc/{pid}/stat").read().split()[2] == "S"))
        job.say("note kill")
        job.end()
        job = Job(c, "exec sh -c 'sleep 100 & echo $!; wait'")
        child = int(c.read(job.open("stdout"), 0, 100))
        job.say("note term")
        check("a signal goes to the whole group", until(lambda: not alive(child)))
        job.end()


def terminals():
    with served("exec") as (connect, _):
        c = connect()
        job = Job(c, "tty 24 80", "exec sh -c 'tty >/dev/null && stty size; read x; stty size; echo got $x'")
        out, into = job.open("stdout"), job.open("stdin", WRITE)
        equal("a terminal has its size", c.read(out, 0, 100), b"24 80\r\n")
        job.say("size 50 132")
        c.write(into, 0, b"yes\n")
        text = b""
        while piece := c.read(out, 0, 100):
            text += piece
        equal("echo, and the new size", text, b"yes\r\n50 132\r\ngot yes\r\n")
        equal("its end", job.get("wait"), b"exit 0\n")
        equal("stderr is empty", job.get("stderr"), b"")
        job.end()
        job = Job(c, "tty 24 80", "exec cat")
        out, into, text = job.open("stdout"), job.open("stdin", WRITE), b""
        c.write(into, 0, b"x\n")
        while text.count(b"x") < 2:
            text += c.read(out, 0, 100)
        equal("what runs in the foreground answers", text, b"x\r\nx\r\n")
        c.write(into, 0, b"\x03")
        equal("control-C interrupts it", job.get("wait"), b"signal 2\n")
        job.end()
        job = Job(c, "tty 24 80", "exec cat", "eof")
        equal("eof on a terminal", job.get("wait"), b"exit 0\n")
        job.end()
        job = Job(c, "tty 24 80", "exec sh -c 'trap \"echo winch; exit 0\" WINCH; echo ready; while :; do sleep 0.01; done'")
        out = job.open("stdout")
        c.read(out, 0, 100)
        job.say("size 10 10")
        equal("a new size is told", c.read(out, 0, 100), b"winch\r\n")
        job.end()
        job = Job(c, "tty 24 80", "exec bash -i")
        out, into = job.open("stdout"), job.open("stdin", WRITE)
        c.write(into, 0, b"sleep 77 & jobs; echo do''ne; exit\n")
        text = b""
        while piece := c.read(out, 0, 4000):
            text += piece
        check("an interactive shell has job control", b"Running" in text and b"\r\ndone\r\n" in text
              and b"no job control" not in text)
        job.end()


def ownership():
    with served("exec") as (connect, _):
        c = connect()
        with tempfile.TemporaryDirectory() as work:
            job = Job(c, "exec sleep 100")
            pid = int(job.status().split()[1])
            job.end()
            check("closing ctl ends the command", until(lambda: not alive(pid), 1))
            job = Job(c, "exec sh -c 'trap \"\" HUP; echo; while :; do sleep 0.1; done'")
            c.read(job.open("stdout"), 0, 10)
            pid = int(job.status().split()[1])
            job.end()
            check("one that ignores the hangup lives on for a while", alive(pid))
            check("and is listed until it ends", str(job.number) in c.names())
            check("but not for long", until(lambda: not alive(pid), 4))
            check("and goes", until(lambda: c.names() == ["clone", "allow"], 1))
            d = connect()
            job = Job(d, "exec sleep 100")
            pid = int(job.status().split()[1])
            tag = c.begin_read(c.at(f"{job.number}/stdout", READ))
            wait = c.begin_read(c.at(f"{job.number}/wait", READ))
            check("others may read", c.waits(tag) and c.waits(wait))
            d.close()
            check("a lost connection ends the command", until(lambda: not alive(pid), 1))
            equal("its readers are told", (c.end_read(tag), c.end_read(wait)), (b"", b"signal 1\n"))
            other = c.at  # another opening of ctl does not own it
            job = Job(c, "exec sleep 100")
            second = other(f"{job.number}/ctl", RDWR)
            c.clunk(second)
            check("a second ctl may close", job.status().startswith("running"))
            second = other(f"{job.number}/ctl", RDWR)
            c.write(second, 0, b"note kill")
            equal("and may give orders", job.get("wait"), b"signal 9\n")
            job.end()
        if os.geteuid() == 0:
            job = Job(c, "exec sleep 100")
            out = as_other_user(connect, lambda d: d.at(f"{job.number}/ctl", RDWR))
            detailed("another user is refused", out, "this file belongs to another user")
            job.end()


def launcher():
    with tempfile.TemporaryDirectory() as work:
        script = os.path.join(work, "enter")
        with open(script, "w") as f:
            f.write('#!/bin/sh\necho "in $COGNU_DIR: $1"; shift; exec "$@"\n')
        os.chmod(script, 0o755)
        with served("exec", "--launcher", f"{shlex.quote(script)} --") as (connect, _):
            job = Job(connect(), "dir /some/where", "exec echo 'a b'")
            equal("a launcher stands before the command", job.get("stdout"), b"in /some/where: --\na b\n")
            job.end()


if __name__ == "__main__":
    signal.alarm(100)
    sys.exit(report(basics, refusals, streams, signals, terminals, ownership, launcher))
