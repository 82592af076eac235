#!/usr/bin/env python3
"""proc: processes as files, through 9P2000: what they tell, signals, waiting. Prints 'N passed, N failed'."""
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

from rig import READ, RDWR, WRITE, as_other_user, check, detailed, equal, p9, refused, report, served, struct, until


def words(line):
    """Splits as the project's texts are quoted: words apart by blanks, '' inside quotes."""
    out, word, quoted, i = [], None, False, 0
    while i < len(line):
        if line[i] == "'":
            if quoted and line[i + 1:i + 2] == "'":
                word += "'"
                i += 1
            else:
                quoted = not quoted
                word = word or ""
        elif line[i] in " \n" and not quoted:
            if word is not None:
                out.append(word)
            word = None
        else:
            word = (word or "") + line[i]
        i += 1
    return out + ([word] if word is not None else [])


@contextlib.contextmanager
def sleeper(program="/bin/sleep", *args):
    p = subprocess.Popen([program, *(args or ["100"])], stdin=subprocess.DEVNULL)
    try:
        while not words_of(p.pid):  # an exec ends a moment after it has been reported
            time.sleep(0.001)
        yield p
    finally:
        p.kill()
        p.wait()


def words_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read()


def state(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0]


def telling():
    with served("proc") as (connect, _), sleeper() as p:
        c = connect()
        names = c.names()
        check("processes are listed by number, growing", names == sorted(names, key=int) and str(p.pid) in names)
        check("and each once", len(set(names)) == len(names))
        equal("the files of one", sorted(c.names(str(p.pid))), ["args", "ctl", "debug", "fd", "mem", "note", "ns", "regs",
                                                                      "segment", "status", "text", "wait"])
        status = words(c.get(f"{p.pid}/status").decode())
        check("status has eight fields", len(status) == 8)
        equal("name, parent, user", (status[0], int(status[2]), int(status[3])), ("sleep", os.getpid(), os.geteuid()))
        check("its size and start", int(status[6]) > 0 and int(status[7]) > 0)
        equal("args", c.get(f"{p.pid}/args"), b"/bin/sleep\n100\n")
        equal("fd", dict(line.split(" ", 1) for line in c.get(f"{p.pid}/fd").decode().splitlines()).get("0"), "/dev/null")
        equal("ctl reads as the number", c.get(f"{p.pid}/ctl"), f"{p.pid}\n".encode())
        refused("it lives in no namespace", c.get, f"{p.pid}/ns", says="no namespace")
        busy = words(c.get(f"{os.getpid()}/status").decode())
        check("time is counted", int(busy[4]) + int(busy[5]) > 0)
        for name in ("0", "-1", "x", "01", "4294967296", "self", str(2**31 - 1)):
            refused(f"no process {name}", c.at, name, says=name)


def strange_names():
    with served("proc") as (connect, _), tempfile.TemporaryDirectory() as work:
        c = connect()
        for name in ("a b", "x) R 1 (y", "(((", "it's", ") (", "tab\there", "new\nline"):
            path = os.path.join(work, name)
            os.symlink("/bin/sleep", path)
            with sleeper(path) as p:
                status = words(c.get(f"{p.pid}/status").decode())
                equal(f"a process named {name!r}", (status[0], status[1] in "SRD", int(status[2])), (name, True, os.getpid()))


def control():
    with served("proc") as (connect, _):
        c = connect()
        with sleeper() as p:
            fid = c.at(f"{p.pid}/ctl", RDWR)
            c.write(fid, 0, b"stop\n")
            check("stop", until(lambda: state(p.pid) == "T"))
            c.write(fid, 0, b"start")
            check("start", until(lambda: state(p.pid) == "S"))
            refused("ctl takes orders only", c.write, fid, 0, b"term", says="ctl takes stop, start, kill")
            refused("one word", c.write, fid, 0, b"stop now", says="one word")
            refused("a word", c.write, fid, 0, b"", says="one word")
            refused("not too long", c.write, fid, 0, b"x" * 100, says="one word")
            c.write(fid, 0, b"kill")
            equal("kill", p.wait(), -9)
            refused("a process that is gone is stale", c.write, fid, 0, b"kill", says="gone")
            refused("its number is found no more", c.at, str(p.pid))
        for note, number in (("interrupt", 2), ("term\n", 15), ("usr2", 12), ("3", 3)):
            with sleeper() as p:
                c.put(f"{p.pid}/note", note.encode())
                equal(f"note {note.strip()}", p.wait(), -number)
        with sleeper() as p:
            refused("no such signal", c.put, f"{p.pid}/note", b"sing", says="sing")
            refused("status is not written", c.at, f"{p.pid}/status", WRITE, says="only read")
            stale = c.at(f"{p.pid}/status", READ)
        refused("status of a process that is gone", c.read, stale, 0, 100, says="gone")
        refused("init is not controlled", c.put, "1/ctl", b"stop", says="init")
        if os.geteuid() == 0:
            with sleeper() as p:
                detailed("another user's process is not controlled",
                      as_other_user(connect, lambda d: d.at(f"{p.pid}/ctl", RDWR)), "this file belongs to another user")


def waiting():
    with served("proc") as (connect, server):
        c = connect()
        with sleeper() as p:
            fid = c.at(f"{p.pid}/wait", READ)
            tag = c.begin_read(fid)
            check("wait waits", c.waits(tag))
            refused("one at a time on one handle", c.read, fid, 0, 100, says="already waits")
            check("it is cancelled", c.flush(tag))
            tag, other = c.begin_read(fid), c.begin_read(c.at(f"{p.pid}/wait", READ))
            check("and asked again", c.waits(tag) and c.waits(other))
            p.kill()
            equal("gone", (c.end_read(tag), c.end_read(other)), (f"gone {p.pid}\n".encode(),) * 2)
            equal("then the end", c.read(fid, 100, 100), b"")
            p.wait()
            equal("it can be read again", c.read(fid, 0, 100), f"gone {p.pid}\n".encode())
        with sleeper() as p:
            d = connect()
            tag = d.begin_read(d.at(f"{p.pid}/wait", READ))
            check("a connection that waits", d.waits(tag))
            d.close()
        refused("proc does not signal itself", c.put, f"{server.pid}/ctl", b"kill", says="proc itself")


def debugging():
    """attach, stop, regs, mem, step by the files; what holds ends with the open ctl."""
    with served("proc") as (connect, _), sleeper(sys.executable, "-c", "while True: pass") as p:
        c = connect()
        until(lambda: state(p.pid) == "R")

        def tracer():
            with open(f"/proc/{p.pid}/status") as f:
                return [line.split()[1] for line in f if line.startswith("TracerPid")][0]
        ctl = c.at(f"{p.pid}/ctl", RDWR)
        refused("registers of one that is not held", c.get, f"{p.pid}/regs", says="not held")
        refused("step, too", c.write, ctl, 0, b"step", says="write attach first")
        equal("nobody holds it", c.get(f"{p.pid}/debug"), b"none\n")
        c.write(ctl, 0, b"attach")
        equal("it runs while it is held", c.get(f"{p.pid}/debug"), b"running\n")
        refused("registers of one that runs", c.get, f"{p.pid}/regs", says="not stopped")
        c.write(ctl, 0, b"stop\n")
        check("stop waits until it is stopped", state(p.pid) == "t" and c.get(f"{p.pid}/debug") == b"stopped 5\n")
        regs = dict(line.split() for line in c.get(f"{p.pid}/regs").decode().splitlines())
        check("registers have names and values", int(regs["rip"], 16) > 4096 and int(regs["rsp"], 16) > 4096)
        mem = c.at(f"{p.pid}/mem", RDWR)
        stack = int(regs["rsp"], 16)
        before = c.read(mem, stack, 16)
        with open(f"/proc/{p.pid}/mem", "rb") as f:
            f.seek(stack)
            equal("mem is its memory", f.read(16), before)
        c.write(mem, stack - 256, b"changed")
        equal("which can be changed", c.read(mem, stack - 256, 7), b"changed")
        refused("where there is none", c.read, mem, 16, 8, says="nothing at address")
        refused("and not written", c.write, mem, 16, b"x", says="cannot be written")
        c.put(f"{p.pid}/regs", b"r15 0x1234\n")
        check("a register is set", b"r15 0x1234\n" in c.get(f"{p.pid}/regs"))
        c.put(f"{p.pid}/regs", b"r15 " + regs["r15"].encode() + b"\n")
        refused("one that is none", c.put, f"{p.pid}/regs", b"r99 1", says="no register")
        seen = set()
        for _ in range(5000):  # a repeated instruction is stepped through where it stands
            if len(seen) > 3:
                break
            c.write(ctl, 0, b"step")
            seen.add(dict(line.split() for line in c.get(f"{p.pid}/regs").decode().splitlines())["rip"])
        check("steps go on", len(seen) > 3)
        equal("text is its program", c.read(c.at(f"{p.pid}/text", READ), 0, 4), b"\x7fELF")
        check("segment says where it lies", b"[stack]" in c.get(f"{p.pid}/segment"))
        other = connect()
        second = other.at(f"{p.pid}/ctl", RDWR)
        refused("one holds it at a time", other.write, second, 0, b"attach", says="held by another")
        refused("who does not hold it orders nothing", other.write, second, 0, b"step", says="not held by this")
        c.write(ctl, 0, b"start")
        check("it goes on", until(lambda: state(p.pid) == "R"))
        tag = c.begin(p9.TWRITE, struct.pack("<IQI", ctl, 0, 8) + b"waitstop")
        check("waitstop waits", c.waits(tag))
        os.kill(p.pid, signal.SIGUSR1)
        c.end(tag)
        equal("until a signal stops it", c.get(f"{p.pid}/debug"), f"stopped {signal.SIGUSR1:d}\n".encode())
        c.put(f"{p.pid}/regs", b"r15 " + regs["r15"].encode())
        c.clunk(ctl)
        check("closing ctl lets it go: the signal ends it", p.wait(10) == -signal.SIGUSR1)
    with served("proc") as (connect, _), sleeper() as p:
        c = connect()
        ctl = c.at(f"{p.pid}/ctl", RDWR)
        c.write(ctl, 0, b"attach")
        c.write(ctl, 0, b"stop")
        c.close()
        check("so does the end of the connection", until(lambda: state(p.pid) == "S"))


SECRETIVE = """
import ctypes, os, time
os.setgid(905)
os.setuid(905)
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
os.write(1, b"ready")
time.sleep(100)
"""


def secrets():
    """What forbids debuggers, as whatever holds keys does, is held and read by nobody; nor is init."""
    if os.geteuid() != 0:
        return
    p = subprocess.Popen([sys.executable, "-c", SECRETIVE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        check("a process has no dumps", p.stdout.read(5) == b"ready")
        with served("proc") as (connect, _):
            c = connect()
            refused("it is not held", c.write, c.at(f"{p.pid}/ctl", RDWR), 0, b"attach", says="forbids debuggers")
            refused("nor is its memory read", c.at, f"{p.pid}/mem", READ, says="forbids debuggers")
            refused("nor are its registers", c.get, f"{p.pid}/regs", says="forbids debuggers")
            refused("init is not held", c.write, c.at("1/ctl", RDWR), 0, b"attach", says="not debugged")
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


if __name__ == "__main__":
    signal.alarm(100)
    sys.exit(report(debugging, secrets, telling, strange_names, control, waiting))
