#!/usr/bin/env python3
"""net: conversations and names through 9P2000, against sockets of this machine. Prints 'N passed, N failed'."""
import contextlib
import hashlib
import os
import signal
import socket
import struct
import sys
import threading

from rig import READ, RDWR, WRITE, check, equal, p9, refused, report, served, until


class Conv:
    """A conversation that this connection holds by its ctl."""

    def __init__(self, c, proto="tcp", ctl=None):
        self.c, self.proto = c, proto
        self.ctl = ctl or c.at(f"{proto}/clone", RDWR)
        self.number = int(c.read(self.ctl, 0, 100))

    def say(self, line):
        return self.c.write(self.ctl, 0, line.encode())

    def open(self, name, mode=RDWR):
        return self.c.at(f"{self.proto}/{self.number}/{name}", mode)

    def get(self, name):
        return self.c.get(f"{self.proto}/{self.number}/{name}").decode().strip()

    def end(self):
        self.c.clunk(self.ctl)


@contextlib.contextmanager
def listening(serve):
    """A TCP server in a thread; gives its port. serve gets each accepted socket."""
    s = socket.create_server(("127.0.0.1", 0))

    def loop():
        with contextlib.suppress(OSError):
            while True:
                conn, _ = s.accept()
                threading.Thread(target=serve, args=(conn,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()
    try:
        yield s.getsockname()[1]
    finally:
        s.shutdown(socket.SHUT_RDWR)
        s.close()


def echo(conn):
    with conn, contextlib.suppress(OSError):
        while data := conn.recv(65536):
            conn.sendall(data)


def dialing():
    with served("net") as (connect, _), listening(echo) as port:
        c = connect()
        equal("the tree", sorted(c.names()), ["cs", "dns", "tcp", "udp"])
        equal("no conversation", c.names("tcp"), ["clone"])
        v = Conv(c)
        equal("a fresh one", (v.get("status"), v.get("local"), v.get("remote")), ("Closed", "::!0", "::!0"))
        equal("its files", sorted(c.names(f"tcp/{v.number}")), ["ctl", "data", "listen", "local", "remote", "status"])
        data = v.open("data")
        refused("there are no bytes before it is connected", c.read, data, 0, 10, says="not connected")
        v.say(f"connect 127.0.0.1!{port}")
        equal("connected", (v.get("status"), v.get("remote")), ("Established", f"127.0.0.1!{port}"))
        check("from an address of its own", v.get("local").startswith("127.0.0.1!"))
        tag = c.begin_read(data)
        check("reading waits", c.waits(tag))
        c.write(data, 0, b"hello")
        equal("for the echo", c.end_read(tag), b"hello")
        tag = c.begin_read(data)
        check("a read is cancelled", c.waits(tag) and c.flush(tag))
        c.write(data, 0, b"more")
        equal("and takes nothing", c.read(data, 0, 100), b"more")
        refused("it is connected already", v.say, f"connect 127.0.0.1!{port}", says="in use")
        refused("and cannot announce", v.say, "announce *!0", says="in use")
        tag = c.begin_read(data)
        v.say("hangup")
        equal("hanging up ends what reads", c.end_read(tag), b"")
        equal("and closes", v.get("status"), "Closed")
        refused("then nothing is written", c.write, data, 0, b"x", says="")
        v.say(f"connect 127.0.0.1!{port}")
        equal("it can be used again", (c.write(data, 0, b"x"), c.read(data, 0, 9)), (1, b"x"))
        v.end()
        equal("an open file keeps it", (c.write(data, 0, b"y"), c.read(data, 0, 9)), (1, b"y"))
        c.clunk(data)
        check("the last close ends it", until(lambda: c.names("tcp") == ["clone"]))
        d = connect()
        Conv(d).say(f"connect 127.0.0.1!{port}")
        equal("others see it", len(c.names("tcp")), 2)
        d.close()
        check("a lost connection ends it", until(lambda: c.names("tcp") == ["clone"]))


def bulk():
    blob = os.urandom(4 << 20)
    seen = []

    def swallow(conn):
        with conn:
            h = hashlib.sha256()
            while data := conn.recv(65536):
                h.update(data)
            seen.append(h.hexdigest())

    def pour(conn):
        with conn:
            conn.sendall(blob)
    with served("net") as (connect, _), listening(swallow) as into, listening(pour) as outof:
        c = connect()
        v = Conv(c)
        v.say(f"connect 127.0.0.1!{into}")
        data, at = v.open("data"), 0
        while at < len(blob):
            at += c.write(data, 0, blob[at:at + 8000])
        c.clunk(data)
        v.end()
        equal("4 MiB out", until(lambda: seen), [hashlib.sha256(blob).hexdigest()])
        v = Conv(c)
        v.say(f"connect 127.0.0.1!{outof}")
        data, got = v.open("data"), b""
        while piece := c.read(data, 0, 8000):
            got += piece
        check("4 MiB in, and then the end", got == blob)
        v.end()


def refusals():
    with served("net") as (connect, _):
        c = connect()
        v = Conv(c)
        s = socket.create_server(("127.0.0.1", 0))
        free = s.getsockname()[1]
        s.close()
        refused("nobody listens", v.say, f"connect 127.0.0.1!{free}", says="nothing listens")
        equal("it stays closed", v.get("status"), "Closed")
        for line in ("connect localhost!80", "connect 127.0.0.1", "connect 127.0.0.1!70000", "connect 127.0.0.1!",
                     "connect !80", "connect 1.2.3!80", "connect 127.0.0.1!-1", "connect 127.0.0.1! 1",
                     f"connect {'1' * 200}!80"):
            refused(line[:40], v.say, line, says="")
        refused("names are not for ctl", v.say, "connect localhost!80", says="cs")
        for line in ("", "connect", "dance", "hangup now", "connect 'x", "connect " + "x" * 300):
            refused(f"'{line[:20]}'", v.say, line, says="connect ADDRESS!PORT")
        refused("listen without announce", v.open, "listen", says="announce")
        s = socket.create_server(("127.0.0.1", 0))
        refused("an address that is taken", v.say, f"announce 127.0.0.1!{s.getsockname()[1]}", says="taken")
        s.close()
        refused("an address of somebody else", v.say, "announce 8.8.8.8!80", says="announce")
        equal("it stays closed after all that", v.get("status"), "Closed")
        for name in ("0", "99", "x", "01", "+1"):
            refused(f"no conversation {name}", c.at, f"tcp/{name}", says="")
        refused("a udp conversation is not tcp's", c.at, f"udp/{v.number}", says="")
        refused("udp is not announced", Conv(c, "udp").say, "announce *!0", says="connect")


def announcing():
    with served("net") as (connect, _):
        c = connect()
        v = Conv(c)
        v.say("announce 127.0.0.1!0")
        host, port = v.get("local").split("!")
        equal("announced", (v.get("status"), host), ("Announced", "127.0.0.1"))
        fid, _ = c.walk(c.root, "tcp", str(v.number), "listen")
        tag = c.begin(p9.TOPEN, struct.pack("<IB", fid, RDWR))
        check("listen waits for a call", c.waits(tag))
        check("and is cancelled", c.flush(tag))
        fid, _ = c.walk(c.root, "tcp", str(v.number), "listen")
        tag = c.begin(p9.TOPEN, struct.pack("<IB", fid, RDWR))
        check("listen waits again", c.waits(tag))
        with socket.create_connection(("127.0.0.1", int(port))) as s:
            c.end(tag)
            call = Conv(c, ctl=fid)
            check("a call is a conversation of its own", call.number != v.number)
            equal("with its caller", call.get("remote"), "127.0.0.1!%d" % s.getsockname()[1])
            data = call.open("data")
            s.sendall(b"ping")
            equal("bytes come", c.read(data, 0, 100), b"ping")
            c.write(data, 0, b"pong")
            equal("and go", s.recv(100), b"pong")
            c.clunk(data)
            call.end()
            equal("its end is heard", s.recv(100), b"")
        with socket.create_connection(("127.0.0.1", int(port))):
            call = Conv(c, ctl=v.open("listen"))
            check("a call that came before is there at once", call.get("status") == "Established")
            call.end()
        fid, _ = c.walk(c.root, "tcp", str(v.number), "listen")
        tag = c.begin(p9.TOPEN, struct.pack("<IB", fid, RDWR))
        check("listen waits once more", c.waits(tag))
        v.end()
        refused("the end of the announcement ends the wait", c.end, tag, says="hung up")
        equal("all is gone", until(lambda: c.names("tcp") == ["clone"]) and c.names("tcp"), ["clone"])
        with socket.socket() as s:
            check("nobody listens any more", s.connect_ex(("127.0.0.1", int(port))) != 0)


def packets():
    with served("net") as (connect, _):
        c = connect()
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", 0))
        s.settimeout(5)
        v = Conv(c, "udp")
        v.say("connect 127.0.0.1!%d" % s.getsockname()[1])
        data = v.open("data")
        c.write(data, 0, b"one")
        c.write(data, 0, b"three")
        first, back = s.recvfrom(100)
        equal("a write is a packet", (first, s.recv(100)), (b"one", b"three"))
        s.sendto(b"answer", back)
        s.sendto(b"", back)
        s.sendto(b"last", back)
        equal("a read is a packet, an empty one too", [c.read(data, 0, 100) for _ in range(3)], [b"answer", b"", b"last"])
        s.sendto(b"x" * 50, back)
        equal("what does not fit is cut", c.read(data, 0, 10), b"x" * 10)
        tag = c.begin_read(data)
        check("the rest is lost: reading waits", c.waits(tag) and c.flush(tag))
        s.close()


def six():
    with contextlib.closing(socket.socket(socket.AF_INET6)) as s, served("net") as (connect, _):
        try:
            s.bind(("::1", 0))
        except OSError:
            return
        s.listen()
        c = connect()
        v = Conv(c)
        v.say("connect ::1!%d" % s.getsockname()[1])
        equal("an IPv6 address", v.get("remote"), "::1!%d" % s.getsockname()[1])


def ask(c, file, text):
    fid = c.at(file, RDWR)
    c.write(fid, 0, text.encode())
    out = c.read_all(fid).decode().splitlines()
    c.clunk(fid)
    return out


def names():
    with served("net") as (connect, _):
        c = connect()
        equal("cs of a number", ask(c, "cs", "tcp!127.0.0.1!80"), ["/net/tcp/clone 127.0.0.1!80"])
        equal("net tries tcp", ask(c, "cs", "net!127.0.0.1!80\n"), ["/net/tcp/clone 127.0.0.1!80"])
        equal("udp", ask(c, "cs", "udp!::1!53"), ["/net/udp/clone ::1!53"])
        check("localhost", "/net/tcp/clone 127.0.0.1!8080" in ask(c, "cs", "tcp!localhost!8080"))
        check("a service by name", "/net/tcp/clone 127.0.0.1!22" in ask(c, "cs", "tcp!127.0.0.1!ssh"))
        equal("every address, to announce", ask(c, "cs", "tcp!*!80"), ["/net/tcp/clone *!80"])
        check("dns of localhost", "localhost ip 127.0.0.1" in ask(c, "dns", "localhost ip"))
        equal("dns of a number", ask(c, "dns", "127.0.0.1 ip"), ["127.0.0.1 ip 127.0.0.1"])
        refused("a query first", c.read, c.at("cs", RDWR), 0, 10, says="query first")
        for text in ("", "tcp!x", "x!127.0.0.1!80", "tcp!!80", "tcp!127.0.0.1!", "a b c d", "x" * 600):
            refused(f"cs '{text[:20]}'", ask, c, "cs", text, says="")
        for text in ("", "localhost", "localhost mx", "'open"):
            refused(f"dns '{text[:20]}'", ask, c, "dns", text, says="HOST ip")
        refused("no such host", ask, c, "dns", "no-such-host.invalid ip", says="no-such-host.invalid")
        fid = c.at("dns", RDWR)
        c.write(fid, 0, b"127.0.0.1 ip")
        c.write(fid, 0, b"127.0.0.2 ip")
        equal("the last query counts", c.read_all(fid), b"127.0.0.2 ip 127.0.0.2\n")
        text = b"no-such-host.invalid ip"
        tag = c.begin(p9.TWRITE, struct.pack("<IQI", fid, 0, len(text)) + text)
        c.flush(tag)
        check("a query may be cancelled", c.names() != [])
        d = connect()
        fid = d.at("dns", RDWR)
        d.begin(p9.TWRITE, struct.pack("<IQI", fid, 0, len(text)) + text)
        d.close()
        check("and its connection may go", ask(c, "dns", "127.0.0.1 ip") == ["127.0.0.1 ip 127.0.0.1"])


if __name__ == "__main__":
    signal.alarm(100)
    sys.exit(report(dialing, bulk, refusals, announcing, packets, six, names))
