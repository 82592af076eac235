"""What the tests of the synthetic file servers share: a server on a socket, a client that can wait, and checks."""
import contextlib
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import p9client as p9  # noqa: E402

BUILD = os.environ.get("COGNU_BUILD", os.path.abspath("build"))
READ, WRITE, RDWR, TRUNC = p9.OREAD, p9.OWRITE, p9.ORDWR, p9.OTRUNC
checks = []


def check(what, good):
    checks.append(bool(good))
    print(("ok " if good else "bad ") + what)


def equal(what, got, wanted):
    check(what if got == wanted else f"{what}: got {got!r}, wanted {wanted!r}", got == wanted)


def detailed(what, got, detail):
    """An error's text is what Plan 9 calls it, then the detail."""
    check(what if got.endswith(detail) else f"{what}: got {got!r}, wanted {detail!r}", got.endswith(detail))


def refused(what, call, *args, says="", **named):
    """The call fails, and its text holds says."""
    try:
        got = call(*args, **named)
        check(f"{what}: succeeded with {got!r}", False)
    except p9.Error as e:
        check(f"{what}: '{e}'" + ("" if says in str(e) else f", wanted '{says}'"), bool(str(e)) and says in str(e))


def until(condition, seconds=30):
    """Waits for a condition; gives its last value."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return value


class Conn(p9.Client):
    """A connection on which requests may wait while others are answered."""

    def __init__(self, path):
        self.early, self.last_tag = {}, 2000
        super().__init__(path)
        self.root = self.attach()

    def rpc(self, kind, body, tag=None):
        if tag is None:
            tag = self.begin(kind, body)
        else:
            self.send(kind, body, tag)
        return self.end(tag)

    def begin(self, kind, body):
        self.last_tag += 1
        self.send(kind, body, self.last_tag)
        return self.last_tag

    def end(self, tag):
        while tag not in self.early:
            kind, got, reply = self.receive()
            self.early[got] = (kind, reply)
        kind, reply = self.early.pop(tag)
        if kind == p9.RERROR:
            raise p9.Error(p9.take_s(reply, 0)[0])
        return reply

    def waits(self, tag, seconds=0.15):
        """True when no answer to tag comes in that time."""
        end = time.monotonic() + seconds
        self.sock.settimeout(0.02)
        while tag not in self.early and time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                first = self.sock.recv(1, socket.MSG_PEEK)
                assert first, "the server closed the connection"
                self.sock.settimeout(10)
                kind, got, reply = self.receive()
                self.early[got] = (kind, reply)
                self.sock.settimeout(0.02)
        self.sock.settimeout(10)
        return tag not in self.early

    def flush(self, tag):
        """Cancels; true when the old request was not answered."""
        self.rpc(p9.TFLUSH, struct.pack("<H", tag))
        return self.early.pop(tag, None) is None

    def at(self, path, mode=None):
        """A fid for a path, opened when mode is given."""
        names = [n for n in path.split("/") if n]
        fid, count = self.walk(self.root, *names)
        if count < len(names):
            raise p9.Error(f"walked {count} of {path}")
        if mode is not None:
            try:
                self.open(fid, mode)
            except p9.Error:
                self.clunk(fid)
                raise
        return fid

    def get(self, path):
        fid = self.at(path, READ)
        data = self.read_all(fid)
        self.clunk(fid)
        return data

    def put(self, path, data, mode=WRITE):
        fid = self.at(path, mode)
        try:
            return self.write(fid, 0, data)
        finally:
            self.clunk(fid)

    def names(self, path=""):
        fid = self.at(path, READ)
        out = [r["name"] for r in self.list(fid)]
        self.clunk(fid)
        return out

    def begin_read(self, fid, offset=0, count=4096):
        return self.begin(p9.TREAD, struct.pack("<IQI", fid, offset, count))

    def end_read(self, tag):
        return self.end(tag)[4:]

    def close(self):
        self.sock.close()


def listens(path):
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(path) == 0


@contextlib.contextmanager
def served(name, *options, env=None, user=None):
    """A server of the build on a socket of its own; gives a function that makes connections, and the process."""
    with tempfile.TemporaryDirectory(prefix="cognu-synth-") as work:
        path = os.path.join(work, "sock")
        program = os.path.join(BUILD, "bin", f"cognu-{name}")
        server = subprocess.Popen([program, *options, "--socket", path, "--foreign"], env=env)
        try:
            until(lambda: listens(path) or server.poll() is not None)
            yield (lambda: Conn(path)), server
            check(f"{name} still runs", server.poll() is None)
        finally:
            server.terminate()
            status = server.wait()
        check(f"{name} ends well", status == 0)


def as_other_user(connect, act):
    """What act(connection) gives, or is told, in a process of user nobody, as text."""
    path = connect().sock.getpeername()
    os.chmod(os.path.dirname(path), 0o755)
    os.chmod(path, 0o777)
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            text = str(act(Conn(path)))
        except Exception as e:  # whatever it is, it is the answer
            text = str(e)
        os.write(w, text.encode())
        os._exit(0)
    os.close(w)
    text = os.read(r, 1000).decode()
    os.close(r)
    os.waitpid(pid, 0)
    return text


def run(*parts):
    for part in parts:
        try:
            part()
        except (p9.Error, EOFError, OSError, AssertionError, struct.error) as e:
            traceback.print_exc()
            check(f"{part.__name__}: {type(e).__name__}: {e}", False)


def report(*parts):
    """Runs the parts; the exit status."""
    run(*parts)
    failed = checks.count(False)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0
