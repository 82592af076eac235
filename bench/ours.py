"""Our side: two nodes on loopback, each a factotum and a gate; the second has the file server, the first the FUSE namespace. The
delay proxy stands between the gates when there is a delay. Also the ceiling: a FUSE file system that only answers."""
import contextlib
import os
import re
import socket
import subprocess
import sys
import time

import peers
from peers import free_port, start_proxy, stop, unmount, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "interop"))
import p9client  # noqa: E402

USER = "bench"


class Node:
    """A factotum and a gate in a folder."""

    def __init__(self, build, folder, name, port, offers=()):
        self.build, self.dir, self.name, self.port, self.offers = build, folder, name, port, offers
        self.running = []
        for part in ("srv", "gate"):
            os.makedirs(self.path(part), exist_ok=True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start(self, program, *args):
        env = dict(os.environ, COGNU_ROSTER=self.path("roster"), COGNU_NODE=self.name)
        with open(self.path("log"), "ab") as log:
            run = peers.start([os.path.join(self.build, "bin", program), *args], stdout=log, stderr=log, env=env)
        self.running.append(run)
        return run

    def start_base(self):
        self.start("cognu-factotum", "--keys", self.path("keys"), "--user", USER, "--socket", self.path("srv", "factotum"))
        offers = [word for offer in self.offers for word in ("--offer", offer)]
        self.start("cognu-gate", "--self", self.name, "--listen", f"127.0.0.1:{self.port}", "--dial", self.path("dial"),
                   "--gate-dir", self.path("gate"), "--factotum", self.path("srv", "factotum"), "--roster", self.path("roster"),
                   "--socket", self.path("srv", "gate"), *offers)
        wait_for(f"the gate of {self.name}", self.sealed)

    def file(self, service, name):
        client = p9client.Client(self.path("srv", service))
        fid, _ = client.walk(client.attach(uname="root"), name)
        return client, fid

    def sealed(self):
        try:
            client, fid = self.file("gate", "status")
            client.open(fid, p9client.OREAD)
            text = client.read_all(fid).decode()
            return "sealed" in text and "sealed 0" not in text and "tls-key-expires 0" not in text
        except (OSError, EOFError, p9client.Error):
            return False

    def ctl(self, command):
        """Writes a command to the gate's ctl and gives its answer."""
        client, fid = self.file("gate", "ctl")
        client.open(fid, p9client.ORDWR)
        client.write(fid, 0, command.encode() + b"\n")
        return client.read(fid, len(command) + 1, 4096).decode().strip()

    def stop(self):
        for run in reversed(self.running):
            stop(run)


class Ours:
    """The side to measure: mounted() gives a fresh namespace on the first node."""

    def __init__(self, build, work, root, rtt_ms):
        self.build, self.root = build, root
        self.dir = os.path.join(work, f"ours{rtt_ms}")
        self.rtt = rtt_ms
        self.proxy = None
        self.nodes = []
        self.mount = os.path.join(self.dir, "mount")

    def __enter__(self):
        os.makedirs(self.mount)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        near = Node(self.build, os.path.join(self.dir, "near"), "near", free_port())
        far = Node(self.build, os.path.join(self.dir, "far"), "far", free_port(), ["hostfs"])
        self.nodes = [near, far]
        for node in self.nodes:
            node.start_base()
        far.start("cognu-hostfs", "--tree", f"root={self.root}", "--socket", far.path("srv", "hostfs"),
                  "--gate-socket", far.path("gate", "hostfs"))
        near.ctl("join " + far.ctl("invite"))
        port = far.port
        if self.rtt > 0:
            self.proxy, port = start_proxy(self.build, far.port, self.rtt)
        far.ctl(f"address far 127.0.0.1:{port}")
        wait_for("the roster", lambda: f"127.0.0.1:{port}" in near_roster(near))
        with open(os.path.join(self.dir, "namespace"), "w", encoding="ascii") as f:
            f.write("mount -c far!hostfs!root /\n")

    def __exit__(self, *why):
        for node in self.nodes:
            node.stop()
        stop(self.proxy)

    @contextlib.contextmanager
    def mounted(self):
        near = self.nodes[0]
        run = near.start("cognu-fuse", "--srv", near.path("srv"), "--dial", near.path("dial"), "--self", "near", "--user", USER,
                         "--key", USER, "--ns", os.path.join(self.dir, "namespace"), "--mount", self.mount,
                         "--control", near.path("control"))
        try:
            wait_for("the namespace", lambda: os.path.ismount(self.mount))
            yield self.mount
        finally:
            near.running.remove(run)
            stop(run)
            unmount(self.mount)

    def cpu(self):
        """For each process: seconds in user mode, in the kernel, context switches."""
        return {f"{node.name} {os.path.basename(run.args[0])}": peers.cpu_of(run.pid) for node in self.nodes for run in node.running}

    def link_memory(self, count):
        """KiB that a gate's own memory grows by with each idle relayed connection, of both gates the worse."""
        gates = [run.pid for node in self.nodes for run in node.running if run.args[0].endswith("cognu-gate")]
        before = [private_kib(pid) for pid in gates]
        links = [self.dial() for _ in range(count)]
        grown = [private_kib(pid) - kib for pid, kib in zip(gates, before)]
        for link in links:
            link.close()
        return max(grown) / count

    def dial(self):
        link = socket.socket(socket.AF_UNIX)
        link.connect(self.nodes[0].path("dial"))
        link.sendall(b"dial far hostfs\n")
        answer = link.recv(512)
        if not answer.startswith(b"ok "):
            raise RuntimeError(f"the gate answered {answer!r}")
        return link

    def round_trips(self):
        with open(os.path.join(self.mount, "mnt", "ns", "status"), encoding="utf-8") as f:
            return sum(map(int, re.findall(r"round_trips (\d+)", f.read())))


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        return int(re.search(r"Private_Dirty:\s+(\d+)", f.read()).group(1))


def near_roster(node):
    with open(node.path("roster"), encoding="utf-8") as f:
        return f.read()


class NullFs:
    """The ceiling: the same commands on a file system that answers from nothing."""

    def __init__(self, build, work):
        self.program = os.path.join(build, "bin", "cognu-nullfs")
        self.mount = os.path.join(work, "null")
        os.makedirs(self.mount, exist_ok=True)

    def furnish(self, kind, corpus):
        """Files of the same names and sizes; their contents are zeros."""
        sizes = {"small50": corpus.few, "small5000": corpus.many}
        os.makedirs(os.path.join(self.mount, "empty"))
        if kind in sizes:
            os.makedirs(os.path.join(self.mount, kind))
            for i in range(sizes[kind]):
                make_sized(os.path.join(self.mount, kind, f"file{i:05}"), 2048)
        elif kind == "bulk":
            make_sized(os.path.join(self.mount, "bulk"), corpus.mb << 20)

    def time(self, kind, command, corpus):
        """Seconds of a command on it, or None when it has no such contents."""
        if kind == "repo":
            return None
        run = peers.start([self.program, self.mount], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for("nullfs", lambda: os.path.ismount(self.mount))
            self.furnish(kind, corpus)
            start = time.monotonic()
            subprocess.run(["sh", "-c", command.replace("{d}", self.mount)], check=True)
            return time.monotonic() - start
        finally:
            stop(run)
            unmount(self.mount)


def make_sized(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
