"""A cell of three nodes for tests that break things: shells in it, its processes by name, its links, its checks.

Everything is stopped by process numbers that were found below the cell's own init processes.
"""
import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("COGNU_BUILD", os.path.abspath("build"))
HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = os.path.join(HERE, "..", "..", "scripts", "cell")
ADDRESS = {"alpha": "10.77.0.1", "beta": "10.77.0.2", "gamma": "10.77.0.3"}
PORT = 5640
checks = []


def check(what, good, saw=""):
    checks.append(bool(good))
    print(("ok " if good else "bad ") + what + ("" if good or saw == "" else f": {saw}"), flush=True)
    return good


def until(condition, seconds=30):
    """Waits for a condition; gives its last value."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return value


def fine(what, result, says=None):
    """It went well, and said that."""
    return check(what, result.status == 0 and (says is None or says in result.out), result)


def fails(what, result, says):
    """It fails, and says why: cause and cure."""
    return check(what, result.status not in (0, None) and says in result.out, result)


class Result:
    def __init__(self, status, out, seconds):
        self.status, self.out, self.seconds = status, out, seconds

    def __repr__(self):
        return f"status {self.status} after {self.seconds:.1f} s, {self.out[-300:]!r}"


class Shell:
    """A bash in a node's namespace that takes one line after another."""

    def __init__(self, cell, node):
        self.process = subprocess.Popen(
            [SCRIPT, "run", "-n", node, "exec bash --norc"], env=cell.env, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.out, self.count, self.began = b"", 0, 0.0
        self.do(". /cognu/etc/bashenv", 60)

    def begin(self, line):
        self.count += 1
        self.began = time.monotonic()
        text = f"{{ {line}\n}} </dev/null 2>&1; printf '\\n=%d=%d=\\n' {self.count} $?\n"
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def end(self, seconds=60):
        """What the line printed and its status; status None when it does not end in that time."""
        mark = re.compile(rb"\n=%d=(\d+)=\n" % self.count)
        stop = time.monotonic() + seconds
        while not (found := mark.search(self.out)):
            left = stop - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return Result(None, self.out.decode(errors="replace"), time.monotonic() - self.began)
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return Result(None, "the shell ended: " + self.out.decode(errors="replace"), 0)
            self.out += piece
        text, self.out = self.out[:found.start()], self.out[found.end():]
        return Result(int(found[1]), text.decode(errors="replace").strip("\n"), time.monotonic() - self.began)

    def do(self, line, seconds=60):
        self.begin(line)
        return self.end(seconds)

    def waits(self):
        """Has the line not ended yet?"""
        return self.end(0.05).status is None

    def interrupt(self):
        """^C: SIGINT to what the shell runs."""
        for pid in children(self.inner()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)

    def inner(self):
        """The bash itself: below nsenter and what it forks."""
        pid = self.process.pid
        while comm(pid) != "bash":
            below = children(pid)
            if not below:
                raise RuntimeError("no bash in the shell")
            pid = below[0]
        return pid

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def program(pid):
    """The name that a component was started by."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().split(b"\0")[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(n) for n in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


class Cell:
    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="cognu-faults-")
        self.state = os.path.join(self.work, "state")
        self.env = dict(os.environ, COGNU_BUILD=BUILD, COGNU_STATE=self.state)
        self.shells = []
        try:
            self.script("up")
        except RuntimeError:
            self.close()
            raise

    def script(self, *words, good=True):
        got = subprocess.run([SCRIPT, *words], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=120, check=False)
        if good and got.returncode != 0:
            raise RuntimeError(f"scripts/cell {' '.join(words)}: {got.stdout}{got.stderr}")
        return got

    def run(self, node, line):
        """A line in a new namespace of its own, for what changes the node or looks at it afresh."""
        return self.script("run", "-n", node, line, good=False)

    def shell(self, node="alpha"):
        self.shells.append(Shell(self, node))
        return self.shells[-1]

    def init(self, node):
        with open(f"{self.state}/{node}/pid") as f:
            return int(f.read())

    def pid(self, node, name):
        """The component's process, once it runs."""
        def find():
            return [p for p in children(self.init(node)) if program(p) == f"cognu-{name}"]
        found = until(find, 10)
        if not found:
            raise RuntimeError(f"{node} runs no {name}")
        return found[0]

    def kill(self, node, name, sig=signal.SIGKILL):
        """Kills a component; gives its number when init has started another one."""
        for _ in range(100):
            old = self.pid(node, name)
            try:
                os.kill(old, sig)
                break
            except ProcessLookupError:  # it has just ended, from a kill before this one: the next is meant
                time.sleep(0.05)
        until(lambda: comm(old) == "" or self.pid(node, name) != old, 10)
        return self.pid(node, name)

    def in_hub(self, *command, **more):
        return self.enter(self.hub(), ["-n"], command, **more)

    def in_node(self, node, *command, **more):
        return self.enter(self.init(node), ["-m", "-u", "-i", "-n", "-p"], command, **more)

    def hub(self):
        with open(f"{self.state}/cell/hub.pid") as f:
            return int(f.read())

    @staticmethod
    def entering(pid, spaces):
        user = [] if os.getuid() == 0 else ["-U", "--preserve-credentials"]
        return ["nsenter", "-t", str(pid), *user, *spaces]

    def enter(self, pid, spaces, command, **more):
        got = subprocess.run([*self.entering(pid, spaces), *command], capture_output=True, text=True, timeout=60,
                             check=False, **more)
        if got.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {got.stderr}")
        return got.stdout

    def link(self, node, state):
        self.in_hub("ip", "link", "set", f"to-{node}", state)

    def log(self, node, name):
        with open(f"{self.state}/{node}/log/{name}.log", errors="replace") as f:
            return f.read()

    def root(self, node, path=""):
        """A file of the node's tree, as the host has it."""
        return os.path.join(self.state, node, "root", path)

    def close(self):
        for shell in self.shells:
            shell.close()
        self.script("clean", good=False)
        shutil.rmtree(self.work, ignore_errors=True)


def test(parts, before=None, after=None):
    """The main of a test: a cell, and in it the parts whose name holds one of the words given, or all. Its exit status."""
    words = sys.argv[1:]
    chosen = [p for p in parts if not words or any(w in p.__name__ for w in words)]
    cell = Cell()
    try:
        if before:
            before(cell)
        for part in chosen:
            began = time.monotonic()
            print(f"# {part.__name__}", flush=True)
            try:
                part(cell)
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                check(part.__name__, False, repr(e))
            for shell in cell.shells:
                shell.close()
            cell.shells.clear()
            print(f"# {part.__name__} took {time.monotonic() - began:.1f} s", flush=True)
        if after:
            after(cell)
    finally:
        with contextlib.suppress(Exception):
            cell.close()
    passed = sum(checks)
    print(f"{passed} passed, {len(checks) - passed} failed")
    return passed != len(checks)
