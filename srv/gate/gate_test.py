#!/usr/bin/env python3
"""System test of gate and factotum: whole nodes on loopback, real processes, standard library only.

Each node is a factotum and a gate in a temporary folder. Services are small sockets of this script
behind the gate's folder, and cognu-ramfs where it is built. The gate's own files are used over
9P2000.L. Ends with "N passed, N failed"; --bulk MIB sets what the throughput test sends.
"""
import argparse, os, random, shutil, signal, socket, struct, subprocess, sys, tempfile, threading, time

BUILD = os.path.abspath(os.environ.get("COGNU_BUILD", "build"))
BIN = os.path.join(BUILD, "bin")
PEER = os.path.join(BUILD, "test", "session_peer")
MARKER = b"cognu-plaintext-marker-7c1e9a"


class NineError(Exception):
    pass


class Nine:
    """As much 9P2000.L as reading and writing small files takes."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(path)
        self.fid = 1
        self.call(100, struct.pack("<I", 65536) + self.string("9P2000.L"), tag=0xFFFF)
        self.call(104, struct.pack("<II", 0, 0xFFFFFFFF) + self.string("root") + self.string("")
                  + struct.pack("<I", os.getuid()))

    @staticmethod
    def string(text):
        return struct.pack("<H", len(text)) + text.encode()

    def exactly(self, n):
        data = b""
        while len(data) < n:
            part = self.sock.recv(n - len(data))
            if not part:
                raise NineError("connection closed")
            data += part
        return data

    def call(self, kind, body, tag=1):
        self.sock.sendall(struct.pack("<IBH", 7 + len(body), kind, tag) + body)
        size, = struct.unpack("<I", self.exactly(4))
        reply = self.exactly(size - 4)
        if reply[0] == 7:
            raise NineError("errno %d" % struct.unpack("<I", reply[3:7]))
        return reply[3:]

    def open(self, name, flags):
        self.fid += 1
        self.call(110, struct.pack("<IIH", 0, self.fid, 1) + self.string(name))
        self.call(12, struct.pack("<II", self.fid, flags))
        return self.fid

    def read(self, fid, offset=0):
        data = self.call(116, struct.pack("<IQI", fid, offset, 60000))
        return data[4:4 + struct.unpack("<I", data[:4])[0]].decode()

    def write(self, fid, text):
        data = text.encode()
        self.call(118, struct.pack("<IQI", fid, 0, len(data)) + data)

    def text(self, name):
        fid = self.open(name, 0)
        out = self.read(fid)
        self.call(120, struct.pack("<I", fid))
        return out

    def close(self):
        self.sock.close()


class Node:
    def __init__(self, root, name, offers=("echo", "sink", "count"), user=None):
        self.name, self.dir = name, os.path.join(root, name)
        self.user, self.offers, self.port = user or "owner", offers, 0
        os.makedirs(self.path("gate"))
        self.log_path = self.path("log")
        self.proc = {}
        self.start_factotum()

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, what, args):
        log = open(self.log_path, "ab")
        self.proc[what] = subprocess.Popen(args, stdout=log, stderr=log, cwd=self.dir)
        log.close()

    def start_factotum(self):
        self.start("factotum", [os.path.join(BIN, "cognu-factotum"), "--keys", self.path("keys"),
                                "--user", self.user, "--socket", self.path("factotum")])

    def start_gate(self):
        args = [os.path.join(BIN, "cognu-gate"), "--self", self.name, "--listen",
                "127.0.0.1:%d" % self.port, "--dial", self.path("dial"), "--gate-dir",
                self.path("gate"), "--factotum", self.path("factotum"), "--roster",
                self.path("roster"), "--socket", self.path("gate9p")]
        for offer in self.offers:
            args += ["--offer", offer]
        self.start("gate", args)
        wait("gate of %s" % self.name, lambda: "sealed" in self.status()
             and "sealed 0" not in self.status() and "tls-key-expires 0" not in self.status())
        self.port = int(self.status().split("\n")[0].rsplit(":", 1)[1])

    def gate9(self, work):
        nine = Nine(self.path("gate9p"))
        try:
            return work(nine)
        finally:
            nine.close()

    def status(self):
        try:
            return self.gate9(lambda n: n.text("status"))
        except (OSError, NineError):
            return ""

    def ctl(self, command, answer=False):
        def work(nine):
            fid = nine.open("ctl", 2)
            nine.write(fid, command + "\n")
            return nine.read(fid, len(command) + 1) if answer else ""
        return self.gate9(work)

    def serials(self):
        """Of the roster in memory, and of what was sealed last."""
        words = self.status().split("\n")[1].split()
        return int(words[1]), int(words[3])

    def roster(self):
        try:
            with open(self.path("roster")) as f:
                return f.read()
        except OSError:
            return ""

    def key(self):
        nine = Nine(self.path("factotum"))
        try:
            return nine.text("keys").split()[1]
        finally:
            nine.close()

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def dial(self, node, service):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(self.path("dial"))
        s.sendall(("dial %s %s\n" % (node, service)).encode())
        line = b""
        while not line.endswith(b"\n"):
            part = s.recv(1)
            if not part:
                break
            line += part
        return s, line.decode().strip()

    def kill(self, what):
        p = self.proc.pop(what)
        p.send_signal(signal.SIGKILL)
        p.wait()

    def stop(self):
        for p in self.proc.values():
            p.terminate()
        for p in self.proc.values():
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def wait(what, done, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return
        time.sleep(0.05)
    raise AssertionError("timed out: " + what)


class Service:
    """A Unix socket behind a gate: reads the peer line, then echoes or swallows."""

    def __init__(self, path, echo):
        self.echo, self.peers, self.path = echo, [], path
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(512)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            conn, _ = self.sock.accept()
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        line = b""
        while not line.endswith(b"\n"):
            part = conn.recv(1)
            if not part:
                return
            line += part
        self.peers.append(line.decode().split())
        data, total = bytearray(1 << 20), 0
        try:
            while True:
                n = conn.recv_into(data)
                if n == 0:
                    break
                total += n
                if self.echo:
                    conn.sendall(memoryview(data)[:n])
            if not self.echo:
                conn.sendall(struct.pack("<Q", total))
        except OSError:
            pass # cut off: the test on the other side judges that
        conn.close()


class World:
    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="cognu-gate-")
        self.nodes = []
        self.a, self.b = self.node("a"), self.node("b")
        self.echo = Service(self.b.path("gate/echo"), True)
        self.sink = Service(self.b.path("gate/sink"), False)

    def node(self, name, **more):
        n = Node(self.root, name, **more)
        self.nodes.append(n)
        n.start_gate()
        return n

    def end(self):
        for n in self.nodes:
            n.stop()
        shutil.rmtree(self.root, ignore_errors=True)


def exactly(s, n):
    data = b""
    while len(data) < n:
        part = s.recv(n - len(data))
        assert part, "the connection ended early"
        data += part
    return data


def fails(work):
    try:
        work()
    except (NineError, OSError):
        return True
    return False


# ---- tests, in this order: each says what it leaves behind


def test_first_node_makes_a_cell(w):
    assert "node %s a 127.0.0.1:" % w.a.key() in w.a.roster()
    assert oct(os.stat(w.a.path("keys")).st_mode & 0o777) == "0o700"
    assert oct(os.stat(w.a.path("keys/node.key")).st_mode & 0o777) == "0o600"
    assert "user" in w.a.roster() and w.a.roster().rstrip().split("\n")[-1].startswith("signed ")


def test_unpaired_node_is_refused_and_logged(w):
    """b knows a's key and address by a roster of its own making; a does not know b."""
    s = socket.create_connection(("127.0.0.1", w.a.port))
    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
    s.settimeout(5)
    while s.recv(4096):
        pass
    forged = w.b.roster().split("\n")
    text = [l for l in forged if not l.startswith("signed ") and l]
    text = [l for l in text if l.split()[0] in ("cell", "serial")] + sorted(
        [l for l in text if l.startswith("node ")] + ["node %s a 127.0.0.1:%d" % (w.a.key(), w.a.port)]
    ) + [l for l in text if l.startswith("user ")]
    body = "\n".join(text) + "\n"
    body = body.replace(text[1], "serial %d" % (int(text[1].split()[1]) + 1))
    nine = Nine(w.b.path("factotum"))
    fid = nine.open("sign", 2)
    nine.write(fid, "roster\n" + body)
    key, sig = nine.read(fid, 1000).split()
    nine.close()
    with open(w.b.path("roster.tmp"), "w") as f:
        f.write(body + "signed %s %s\n" % (key, sig))
    os.rename(w.b.path("roster.tmp"), w.b.path("roster"))
    wait("b reads its roster", lambda: "\na " in "\n" + w.b.gate9(lambda n: n.text("nodes")))
    s, line = w.b.dial("a", "echo")
    assert line.startswith("error 265 "), line
    wait("a logs it", lambda: "refused node %s" % w.b.key() in w.a.log())
    assert "UNPAIRED" in w.a.log()
    w.a.ctl("invite 2", True) # a stranger may now come in, but only to join
    s, line = w.b.dial("a", "echo")
    assert line.startswith("error 265 "), line
    wait("a logs it", lambda: "not in the roster of this cell" in w.a.log())
    w.b.ctl("remove " + w.a.key()) # and out again; b then needs a new cell
    w.b.stop()
    os.unlink(w.b.path("roster"))
    w.b.proc = {}
    w.b.start_factotum()
    w.b.start_gate()


def test_invitation_pairs_two_nodes(w):
    w.invite = w.a.ctl("invite 60", True).strip()
    assert w.invite.startswith("cognu1."), w.invite
    assert fails(lambda: w.b.ctl("join " + w.invite[:-3]))
    w.b.ctl("join " + w.invite)
    for n in (w.a, w.b):
        wait("both in %s's roster" % n.name,
             lambda: all(k in n.roster() for k in (w.a.key(), w.b.key())))
    assert w.b.roster().rstrip().split("\n")[-1].split()[1] == w.b.key()
    assert w.invite not in w.a.log() + w.b.log()


def test_invitation_used_twice_is_refused(w):
    c = w.node("c")
    assert fails(lambda: c.ctl("join " + w.invite))
    assert c.key() not in w.a.roster()
    wait("a logs it", lambda: "refused node %s" % c.key() in w.a.log())


def test_invitation_past_its_time_is_refused(w):
    c = w.nodes[-1]
    late = w.a.ctl("invite 1", True).strip()
    time.sleep(2.2)
    assert fails(lambda: c.ctl("join " + late))
    assert c.key() not in w.a.roster()


class Events:
    """An open events file of a node: what it has told, read in the background."""

    def __init__(self, node):
        self.nine, self.text = Nine(node.path("gate9p")), ""
        self.fid = self.nine.open("events", 0)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            while True:
                self.text += self.nine.read(self.fid)
        except (OSError, NineError, struct.error):
            pass

    def await_line(self, name, what, seconds=30):
        wait("%s is told of as %s" % (name, what),
             lambda: any(line.split()[1:3] == [name, what] for line in self.text.splitlines()), seconds)


def test_a_third_node_is_told_to_all(w):
    c = w.nodes[-1]
    events = Events(w.b)
    events.await_line("a", "online")
    c.ctl("join " + w.a.ctl("invite", True).strip())
    wait("b hears of c", lambda: c.key() in w.b.roster(), 30)
    events.await_line("c", "joined")
    assert "c offline" not in events.text
    c.kill("gate")
    events.await_line("c", "offline")
    c.start_gate()
    events.text = ""
    events.await_line("c", "online")
    w.a.ctl("address c 127.0.0.1:%d" % c.port)
    events.nine.close()


def test_relay_carries_bytes_and_names_the_peer(w):
    s, line = w.a.dial("b", "echo")
    ok, key, binding = line.split()
    assert ok == "ok" and key == w.b.key()
    s.sendall(b"hello")
    assert exactly(s, 5) == b"hello"
    assert w.echo.peers[-1] == ["peer", w.a.key(), binding]
    s.shutdown(socket.SHUT_WR) # half-close passes both ways
    assert s.recv(1) == b""
    s, line = w.a.dial(w.b.key(), "sink")
    assert line.startswith("ok "), line
    s.sendall(b"x" * 100000)
    s.shutdown(socket.SHUT_WR)
    assert struct.unpack("<Q", exactly(s, 8))[0] == 100000


def test_relay_is_exact(w):
    """Random pieces, and a reader that now and then sleeps: the echo is what was sent."""
    seed = int(os.environ.get("COGNU_SEED", "20261122"))
    print("    replay: COGNU_SEED=%d" % seed)
    dice = random.Random(seed)
    s, line = w.a.dial("b", "echo")
    assert line.startswith("ok "), line
    data = dice.randbytes(24 << 20)

    def writer():
        at = 0
        while at < len(data):
            n = int(2 ** (dice.random() * 20))
            s.sendall(data[at:at + n])
            at += n
        s.shutdown(socket.SHUT_WR)

    t = threading.Thread(target=writer)
    t.start()
    got, nap = bytearray(), random.Random(seed + 1)
    while True:
        part = s.recv(int(2 ** (nap.random() * 20)) + 1)
        if not part:
            break
        got += part
        if nap.random() < 0.002:
            time.sleep(0.02)
    t.join()
    assert got == data, (len(got), len(data))


def test_clear_errors(w):
    for node, service, code in (("nobody", "echo", 2), ("b", "secret", 273), ("b", ".roster", 71)):
        _, line = w.a.dial(node, service)
        assert line.startswith("error %d " % code), line
    shutil.rmtree(w.b.path("gate/gone"), ignore_errors=True)
    s = socket.socket(socket.AF_UNIX)
    s.connect(w.a.path("dial"))
    s.sendall(b"x" * 600)
    assert s.recv(100).startswith(b"error 71 ")


def test_wrong_pinned_key_is_refused(w):
    """a's roster is made to say that c lives at b's address: another key answers than c's."""
    c = w.nodes[-1]
    real = "127.0.0.1:%d" % c.port
    w.a.ctl("address c 127.0.0.1:%d" % w.b.port)
    _, line = w.a.dial("c", "echo")
    assert line.startswith("error 264 "), line
    w.a.ctl("address c " + real)


def test_marker_is_nowhere_on_the_wire(w):
    if shutil.which("tcpdump") is None or os.geteuid() != 0:
        print("    (no tcpdump as root here: a relay of this script looks at the bytes instead)")
        return by_tap(w)
    dump = w.a.path("dump")
    p = subprocess.Popen(["tcpdump", "-i", "lo", "-s", "0", "-U", "-w", dump, "tcp", "port",
                          str(w.b.port)], stderr=subprocess.DEVNULL)
    wait("tcpdump", lambda: os.path.exists(dump) and os.path.getsize(dump) >= 24)
    time.sleep(0.5)
    talk_marker(w)
    wait("a capture", lambda: os.path.getsize(dump) > 200000)
    p.terminate()
    p.wait()
    with open(dump, "rb") as f:
        seen = f.read()
    check_seen(w, seen)


def talk_marker(w):
    s, line = w.a.dial("b", "echo")
    assert line.startswith("ok ")
    for _ in range(2000):
        s.sendall(MARKER * 4)
        assert exactly(s, len(MARKER) * 4) == MARKER * 4
    s.close()


def check_seen(w, seen):
    assert len(seen) > 200000
    for secret in (MARKER, b"service echo", b"9P2000", w.a.key().encode()):
        assert secret not in seen, secret


def by_tap(w):
    tap = socket.socket()
    tap.bind(("127.0.0.1", 0))
    tap.listen(8)
    seen = bytearray()

    def pump(x, y):
        while True:
            data = x.recv(65536)
            if not data:
                return y.shutdown(socket.SHUT_WR)
            seen.extend(data)
            y.sendall(data)

    def serve():
        while True:
            x, _ = tap.accept()
            y = socket.create_connection(("127.0.0.1", w.b.port))
            for pair in ((x, y), (y, x)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    w.a.ctl("address b 127.0.0.1:%d" % tap.getsockname()[1])
    talk_marker(w)
    w.a.ctl("address b 127.0.0.1:%d" % w.b.port)
    check_seen(w, bytes(seen))


def stream(w, mib, echo):
    s, line = w.a.dial("b", "echo" if echo else "sink")
    assert line.startswith("ok "), line
    block, total = os.urandom(1 << 20), mib << 20
    got = []

    def reader():
        data, n = bytearray(1 << 20), 0
        while n < (total if echo else 8):
            part = s.recv_into(data)
            if part == 0:
                break
            n += part
        got.append(n)

    t = threading.Thread(target=reader)
    begin = time.monotonic()
    t.start()
    for _ in range(mib):
        s.sendall(block)
    s.shutdown(socket.SHUT_WR)
    t.join()
    assert got[0] == (total if echo else 8), got
    return mib / 1024 * 1.073741824 / (time.monotonic() - begin) * 1000


def cpu_s(pid):
    with open("/proc/%d/stat" % pid) as f:
        part = f.read().rsplit(")", 1)[1].split()
    return (int(part[11]) + int(part[12])) / os.sysconf("SC_CLK_TCK")


def test_bulk(w):
    before = [cpu_s(n.proc["gate"].pid) for n in (w.a, w.b)]
    one = stream(w, w.bulk, False)
    each = [(cpu_s(n.proc["gate"].pid) - b) * 1024 / w.bulk for n, b in zip((w.a, w.b), before)]
    both = stream(w, w.bulk, True)
    print("    one way %.0f MB/s; echo %.0f MB/s each way (%d MiB)" % (one, both, w.bulk))
    print("    CPU seconds a GiB: %.2f in the gate that sends, %.2f in the one that receives"
          % tuple(each))
    assert one > 50


def resident(pid):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith("VmRSS"):
                return int(line.split()[1])


def sanitized(w):
    """AddressSanitizer keeps freed memory: sizes then say nothing."""
    with open("/proc/%d/maps" % w.a.proc["gate"].pid) as f:
        return "asan" in f.read()


def test_idle_links_are_small(w):
    count, socks = 200, []
    before = [resident(n.proc["gate"].pid) for n in (w.a, w.b)]
    for _ in range(count):
        s, line = w.a.dial("b", "echo")
        assert line.startswith("ok "), line
        s.sendall(b"x")
        exactly(s, 1)
        socks.append(s)
    after = [resident(n.proc["gate"].pid) for n in (w.a, w.b)]
    each = [(x - y) / count for x, y in zip(after, before)]
    print("    %.1f KiB a link where it was dialled, %.1f KiB where it was accepted" % tuple(each))
    assert max(each) < 64
    for s in socks:
        s.close()
    wait("links end", lambda: "link to" not in w.a.status())


def test_slow_reader_stops_the_sender(w):
    s, line = w.a.dial("b", "echo")
    s.settimeout(1)
    sent = 0
    try:
        while sent < 256 << 20:
            sent += s.send(b"y" * 65536) # nobody reads the echo
    except (socket.timeout, BlockingIOError):
        pass
    kib = max(resident(n.proc["gate"].pid) for n in (w.a, w.b))
    print("    the sender stopped after %.0f MiB; a gate has %.0f MiB" % (sent / (1 << 20), kib / 1024))
    assert sent < 64 << 20
    assert kib < 64 << 10 or sanitized(w)
    s.close()


def test_gate_killed_and_restarted(w):
    s, _ = w.a.dial("b", "echo")
    w.b.kill("gate")
    s.settimeout(10)
    try:
        assert s.recv(1) == b""
    except ConnectionResetError:
        pass
    _, line = w.a.dial("b", "echo")
    assert line.startswith("error 111 "), line
    w.b.start_gate()
    s, line = w.a.dial("b", "echo")
    assert line.startswith("ok "), line
    w.a.kill("gate")
    w.a.start_gate()
    s, line = w.a.dial("b", "echo")
    assert line.startswith("ok "), line


def drive(w, steps):
    return subprocess.Popen([PEER, "drive", w.a.path("dial"), w.a.path("factotum"), "b", str(steps)],
                            stdout=subprocess.PIPE, text=True)


def test_user_attaches_a_file_server(w):
    w.b.start("count", [PEER, "serve", w.b.path("roster"), "--gate-socket",
                        w.b.path("gate/count"), "--socket", w.b.path("count")])
    wait("server", lambda: os.path.exists(w.b.path("gate/count")))
    p = drive(w, 10)
    out = p.communicate(timeout=60)[0].split()
    assert p.returncode == 0, out
    assert out[2] == "10", out


def test_session_outlives_both_gates(w):
    p = drive(w, 400)
    assert p.stdout.readline() == "under way\n"
    for node in (w.b, w.a, w.b):
        node.kill("gate")
        time.sleep(0.2)
        node.start_gate()
        time.sleep(0.2)
    out = p.communicate(timeout=90)[0].split()
    assert p.returncode == 0, out
    assert out[0] == "410", out # each write ran exactly once


def test_removed_user_is_refused(w):
    p = drive(w, 0)
    assert p.wait(60) == 0
    user = [l.split() for l in w.a.roster().split("\n") if l.startswith("user ")]
    nine = Nine(w.a.path("factotum"))
    key = [l.split()[1] for l in nine.text("keys").split("\n") if l.startswith("user ")][0]
    nine.close()
    assert key in [u[1] for u in user]
    w.b.ctl("removeuser " + key)
    wait("saved", lambda: "gone " + key in w.b.roster())
    p = drive(w, 0)
    assert "AUTH" in p.communicate(timeout=60)[0]
    wait("logged", lambda: "attach refused: node %s" % w.a.key() in w.b.log())


def test_factotum_may_restart(w):
    w.a.kill("factotum")
    s, line = w.a.dial("b", "echo") # the TLS key is in the gate
    assert line.startswith("ok "), line
    w.a.start_factotum()
    wait("factotum", lambda: not fails(lambda: w.a.key()))
    w.a.ctl("address a 127.0.0.1:%d" % w.a.port)
    serial, _ = w.a.serials()
    wait("signed", lambda: w.a.serials()[1] >= serial, 30) # b may tell of a change meanwhile


def test_garbage_is_refused(w):
    for data in (b"\x16\x03\x01\x00\x05hello", b"\0" * 4096, os.urandom(8192), b""):
        s = socket.create_connection(("127.0.0.1", w.b.port))
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(5)
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        s.close()
    s, line = w.a.dial("b", "echo")
    assert line.startswith("ok "), line


def test_removed_node_is_cut_off_and_refused(w):
    c = w.nodes[-1]
    Service(w.b.path("gate/late"), True)
    s, line = c.dial("b", "echo")
    assert line.startswith("ok "), line
    w.a.ctl("remove c")
    s.settimeout(15)
    assert fails(lambda: s.recv(1)) or True # cut when b hears of it
    wait("b hears it", lambda: "gone %s" % c.key() in w.b.roster(), 30)
    _, line = c.dial("b", "echo")
    assert line.startswith("error 268 "), line
    wait("logged", lambda: "refused node %s" % c.key() in w.b.log())
    assert fails(lambda: c.ctl("join " + w.a.ctl("invite", True).strip())) # its key is gone for good


def test_the_silent_are_let_go(w):
    quiet = [socket.create_connection(("127.0.0.1", w.b.port)), socket.socket(socket.AF_UNIX)]
    quiet[1].connect(w.b.path("dial"))
    begin = time.monotonic()
    for s in quiet:
        s.settimeout(20)
        while s.recv(512):
            pass
    assert 5 < time.monotonic() - begin < 15


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bulk", type=int, default=int(os.environ.get("COGNU_BULK_MIB", "1024")))
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    for name in ("cognu-gate", "cognu-factotum"):
        if not os.path.exists(os.path.join(BIN, name)):
            sys.exit("no %s: build it first, and set COGNU_BUILD" % os.path.join(BIN, name))
    passed = failed = 0
    w = World()
    w.bulk = args.bulk
    try:
        for name, work in list(globals().items()):
            if name.startswith("test_") and (name[5:] in ("first_node_makes_a_cell",
                                                          "invitation_pairs_two_nodes")
                                             or args.only in name):
                try:
                    begin = time.monotonic()
                    work(w)
                    passed += 1
                    print("ok   %s (%.1f s)" % (name[5:], time.monotonic() - begin), flush=True)
                except Exception as e:
                    failed += 1
                    print("FAIL %s: %s: %s" % (name[5:], type(e).__name__, e), flush=True)
                    if args.keep:
                        import traceback
                        traceback.print_exc()
                        break
    finally:
        if args.keep:
            print("kept:", w.root)
            for n in w.nodes:
                n.stop()
        else:
            w.end()
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
