#!/usr/bin/env python3
"""env, dev, log, metrics: each file of the small synthetic servers, through 9P2000. Prints 'N passed, N failed'."""
import os
import re
import sys
import tempfile
import time

from rig import READ, RDWR, TRUNC, WRITE, Conn, check, equal, p9, refused, report, served


def make(c, name, data):
    fid, _ = c.walk(c.root)
    c.create(fid, name, 0o644, WRITE)
    c.write(fid, 0, data)
    c.clunk(fid)


def env_values():
    with served("env") as (connect, _):
        c = connect()
        equal("a new environment is empty", c.names(), [])
        make(c, "HOME", b"/home/ann")
        equal("a variable reads as it was written", c.get("HOME"), b"/home/ann")
        equal("another connection sees it", connect().get("HOME"), b"/home/ann")
        c.put("HOME", b"/x", WRITE | TRUNC)
        equal("truncation on open", c.get("HOME"), b"/x")
        fid = c.at("HOME", RDWR)
        c.write(fid, 4, b"yz")
        equal("a gap is zeroes", c.get("HOME"), b"/x\0\0yz")
        c.write(fid, 1, b"abcdefgh")
        equal("overwriting goes on past the end", c.get("HOME"), b"/abcdefgh")
        c.wstat(fid, length=3)
        equal("wstat cuts", c.get("HOME"), b"/ab")
        equal("stat says the length", c.stat(fid)["length"], 3)
        equal("a list of words is kept, NUL and all", (make(c, "path", b"/bin\0/usr/bin\0"), c.get("path"))[1],
              b"/bin\0/usr/bin\0")
        c.remove(c.at("HOME"))
        equal("removed", c.names(), ["path"])
        refused("a removed variable is not written", c.write, fid, 0, b"x", says="removed")
        refused("nor read", c.read, fid, 0, 10, says="removed")
        refused("nor found", c.at, "HOME", says="HOME")
        make(c, "HOME", b"again")
        refused("a new one of the name is another file", c.read, fid, 0, 10, says="removed")
        equal("which has its own value", c.get("HOME"), b"again")


def env_limits():
    with served("env") as (connect, _):
        c = connect()
        make(c, "big", b"")
        fid = c.at("big", RDWR)
        for at in range(0, 65536, 4096):
            c.write(fid, at, b"x" * 4096)
        equal("64 KiB fit", len(c.get("big")), 65536)
        refused("no more", c.write, fid, 65536, b"x", says="65536")
        refused("not even far away", c.write, fid, 1 << 62, b"x", says="65536")
        refused("nor by wstat", c.wstat, fid, length=1 << 40, says="65536")
        d, _ = c.walk(c.root)
        refused("a directory is not made", c.create, d, "dir", p9.DMDIR | 0o755, READ, says="variable")
        refused("a variable is not renamed", c.wstat, fid, name="other")
        for i in range(4095):
            make(c, f"v{i}", b"")
        refused("4096 variables are the most", make, c, "more", b"", says="4096")
        names = c.names()
        check("all are listed, once", len(names) == 4096 and len(set(names)) == 4096)
        equal("in the order of their making", names[1:4], ["v0", "v1", "v2"])


def env_listing_goes_on():
    with served("env") as (connect, _):
        c = connect()
        for i in range(100):
            make(c, f"v{i:02}", b"")
        d = c.at("", READ)
        first = c.read(d, 0, 512)
        seen = [p9.parse_stat(first)[0]["name"]]
        record, at = p9.parse_stat(first)
        while at < len(first):
            record, at = p9.parse_stat(first, at)
            seen.append(record["name"])
        for name in seen[:3]:
            c.remove(c.at(name))
        make(c, "late", b"")
        offset = len(first)
        while piece := c.read(d, offset, 512):
            offset += len(piece)
            at = 0
            while at < len(piece):
                record, at = p9.parse_stat(piece, at)
                seen.append(record["name"])
        equal("a listing goes on where it was when names come and go", seen, [f"v{i:02}" for i in range(100)] + ["late"])


def dev_files():
    with served("dev") as (connect, _):
        c = connect()
        equal("the devices", sorted(c.names()), ["cons", "null", "random", "sysstat", "time", "zero"])
        equal("null reads as empty", c.get("null"), b"")
        equal("null swallows", c.put("null", b"x" * 1000), 1000)
        fid = c.at("zero", READ)
        equal("zero reads as zeroes anywhere", c.read(fid, 1 << 40, 100), bytes(100))
        fid = c.at("random", READ)
        a, b = c.read(fid, 0, 64), c.read(fid, 0, 64)
        check("random never repeats", len(a) == 64 and a != b)
        refused("random is not written", c.at, "random", WRITE, says="only read")
        seconds, ns, tick, hz = map(int, c.get("time").split())
        check("time is now", abs(seconds - time.time()) < 2 and ns // 10**9 == seconds and hz == 10**9)
        fid = c.at("time", READ)
        first = c.read(fid, 0, 100)
        time.sleep(0.01)
        equal("a reader sees one moment", first[8:], c.read(fid, 8, 100))
        check("a new read from the start sees a new one", c.read(fid, 0, 100) != first)
        fields = c.get("sysstat").split()
        check("sysstat has seven fields", len(fields) == 7 and int(fields[5]) > int(fields[6]) > 0)
        equal("cons takes lines", c.put("cons", b"one\ntwo"), 7)
        equal("cons reads as empty", c.get("cons"), b"")
        refused("nothing is made", c.create, c.walk(c.root)[0], "x", 0o644, WRITE, says="cannot be made")
        refused("nothing is removed", c.remove, c.at("null"), says="cannot be removed")
        refused("mode is kept", c.wstat, c.at("null"), mode=0o777, says="keeps")
        refused("a file is no directory", c.walk, c.at("null"), "x", says="")
        st = c.stat(c.at("zero"))
        equal("stat", (st["name"], st["mode"]), ("zero", 0o666))


def log_files():
    with tempfile.TemporaryDirectory(prefix="cognu-log-") as work:
        def say(name, text, how="a"):
            with open(os.path.join(work, name), how) as f:
                f.write(text)
        say("gate.log", "one\ntwo\n")
        say("ramfs.log", "x\n")
        say("ramfs.log.1", "old\n")
        say("other", "no log\n")
        with served("log", "--dir", work) as (connect, _):
            c = connect()
            equal("logs are listed by their components", sorted(c.names()), ["gate", "ramfs"])
            equal("a log", c.get("gate"), b"one\ntwo\n")
            equal("its length", c.stat(c.at("gate"))["length"], 8)
            say("gate.log", "three\n")
            equal("it grows", c.get("gate"), b"one\ntwo\nthree\n")
            fid = c.at("gate", READ)
            say("gate.log", "".join(f"line {i:06}\n" for i in range(120000)))
            data = c.read_all(fid, 8000)
            check("a long one is cut to whole lines", data.startswith(b"line ") and data.endswith(b"line 119999\n")
                  and (1 << 20) - 20 < len(data) <= 1 << 20)
            say("new.log", "late\n")
            equal("a new component appears", c.get("new"), b"late\n")
            os.unlink(os.path.join(work, "new.log"))
            equal("and goes", sorted(c.names()), ["gate", "ramfs"])
            refused("what is gone is not found", c.at, "new")
            os.symlink("/etc/passwd", os.path.join(work, "evil.log"))
            refused("a link leads nowhere", c.get, "evil")
            refused("logs are not written", c.at, "gate", WRITE, says="only read")
            refused("other names are not found", c.at, "other")


def metrics_file():
    with served("metrics") as (connect, server), served("env") as (_, other):
        c = connect()
        equal("two files", sorted(c.names()), ["metrics", "trace"])
        equal("no steps where nobody tells any", c.get("trace"), b"")
        text = c.get("metrics").decode()
        line = re.compile(r'[a-z0-9_]+(\{component="[a-z0-9-]+"(,mode="(user|system)")?\})? -?[0-9.e+]+')
        lines = [x for x in text.splitlines() if not x.startswith("# ")]
        check("every line is of the format", text.endswith("\n") and all(line.fullmatch(x) for x in lines))
        values = dict(x.rsplit(" ", 1) for x in lines)
        equal("each once", len(values), len(lines))
        check("its own components are told", all(float(values['cognu_component_processes{component="%s"}' % n]) >= 1
                                                 for n in ("metrics", "env")))
        check("with memory and descriptors", float(values['cognu_component_resident_bytes{component="env"}']) > 100000
              and float(values['cognu_component_open_fds{component="env"}']) > 3)
        check("load, memory, uptime", all(float(values["cognu_host_" + n]) > 0 for n in (
            "uptime_seconds", "memory_total_bytes", "memory_available_bytes", "processors")) and "cognu_host_load1" in values)
        check("processes are counted", float(values["cognu_node_processes"]) >= 3)
        families = [x.split()[2] for x in text.splitlines() if x.startswith("# TYPE")]
        equal("each family is described once", len(families), len(set(families)))
        refused("it is not written", c.at, "metrics", WRITE, says="only read")


if __name__ == "__main__":
    sys.exit(report(env_values, env_limits, env_listing_goes_on, dev_files, log_files, metrics_file))
