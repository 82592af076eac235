"""File servers of ours for foreign clients: started on loopback TCP, filled, stopped."""
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time

import p9client

READY_SECONDS = 20
SKIP = 77  # what CTest takes for "skipped"


def build():
    return os.environ.get("COGNU_BUILD", os.path.abspath("build"))


def need(*programs):
    """Ends the test as skipped when a foreign program is not there."""
    lacking = [p for p in programs if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin:/sbin")]
    if lacking:
        print(f"skipped: {' '.join(lacking)} is not installed (scripts/setup check)")
        sys.exit(SKIP)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port):
    until = time.monotonic() + READY_SECONDS
    while True:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > until:
            raise RuntimeError(f"nothing listens at port {port} after {READY_SECONDS} s")
        time.sleep(0.02)


def wait_for_socket(path):
    until = time.monotonic() + READY_SECONDS
    while True:
        with socket.socket(socket.AF_UNIX) as s:
            if s.connect_ex(path) == 0:
                return
        if time.monotonic() > until:
            raise RuntimeError(f"nothing listens at {path} after {READY_SECONDS} s")
        time.sleep(0.02)


def start(kind, root, port):
    """kind is hostfs, serving the folder root as its tree "root", or ramfs, empty."""
    more = ["--tree", f"root={root}"] if kind == "hostfs" else []
    command = [os.path.join(build(), "bin", f"cognu-{kind}"), *more]
    return subprocess.Popen([*command, "--plaintext-tcp", f"127.0.0.1:{port}", "--plaintext-uid", str(os.geteuid())])


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def sample_files():
    """A small file, a large one, and a folder of many: path to contents."""
    big = os.urandom(3 << 20)
    files = {"hello": b"hello from the host\n", "big": big, "big.md5": f"{hashlib.md5(big).hexdigest()}  -\n".encode()}
    files.update((f"many/file{i}", str(i).encode()) for i in range(500))
    return files


def write_files(root, files):
    for path, data in files.items():
        name = os.path.join(root, path)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as f:
            f.write(data)


def send_files(port, files):
    """The same over 9P2000. Folders are one deep."""
    c = p9client.Client(("127.0.0.1", port), msize=65536)
    root = c.attach()
    for folder in sorted({os.path.dirname(path) for path in files} - {""}):
        d, _ = c.walk(root)
        c.create(d, folder, p9client.DMDIR | 0o755, p9client.OREAD)
        c.clunk(d)
    for path, data in files.items():
        f, _ = c.walk(root, *filter(None, [os.path.dirname(path)]))
        c.create(f, os.path.basename(path), 0o644, p9client.OWRITE)
        at = 0
        while at < len(data):
            at += c.write(f, at, data[at:at + 60000])
        c.clunk(f)
    c.sock.close()
