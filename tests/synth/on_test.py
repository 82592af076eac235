#!/usr/bin/env python3
"""The command `on`, against an exec server behind the FUSE adapter. Needs root and /dev/fuse; else it is skipped.

Prints 'N passed, N failed'."""
import contextlib
import hashlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import fcntl
import time

from rig import BUILD, check, equal, report, run, until

ON = os.path.join(BUILD, "commands", "on")
tree = None  # of the exec server, as a mounted path


@contextlib.contextmanager
def mounted():
    """An exec server, and a namespace in which it is at n/beta/exec; gives that path."""
    with tempfile.TemporaryDirectory(prefix="cognu-on-") as work, contextlib.ExitStack() as stack:
        def start(name, *options):
            p = subprocess.Popen([os.path.join(BUILD, "bin", name), *options], env=dict(os.environ, COGNU_LOG="warn"))
            stack.callback(lambda: (p.terminate(), equal(f"{name} ends well", p.wait(10), 0)))
        os.mkdir(os.path.join(work, "srv"))
        os.mkdir(os.path.join(work, "m"))
        ns = os.path.join(work, "ns")
        with open(ns, "w") as f:
            f.write("mount .!exec /n/beta/exec\n")
        start("cognu-exec", "--socket", os.path.join(work, "srv/exec"))
        until(lambda: os.path.exists(os.path.join(work, "srv/exec")))
        start("cognu-fuse", "--srv", os.path.join(work, "srv"), "--self", "here", "--ns", ns, "--mount", work + "/m")
        stack.callback(lambda: subprocess.run(["umount", "-l", work + "/m"], stderr=subprocess.DEVNULL))
        path = work + "/m/n/beta/exec"
        check("exec is mounted", until(lambda: os.path.exists(path + "/clone")))
        yield path


def on(*words, feed=None, **named):
    """(status, stdout, stderr)"""
    p = subprocess.run([ON, *named.pop("options", []), tree, *words], input=feed, capture_output=True, timeout=20,
                       stdin=None if feed is not None else subprocess.DEVNULL, **named)
    return p.returncode, p.stdout, p.stderr


def jobs():
    return [n for n in os.listdir(tree) if n not in ("clone", "allow")]


def plain():
    equal("output", on("echo", "a  b", "it's", "", "x\ny"), (0, b"a  b it's  x\ny\n", b""))
    equal("errors are apart", on("sh", "-c", "echo out; echo err >&2; exit 7"), (7, b"out\n", b"err\n"))
    equal("a signal's status", on("sh", "-c", "kill -TERM $$")[0], 128 + 15)
    equal("not found", on("no-such-command")[0], 127)
    equal("input and its end", on("cat", feed=b"one\ntwo\n"), (0, b"one\ntwo\n", b""))
    equal("no input", on("cat"), (0, b"", b""))
    blob = os.urandom(5 << 20)
    equal("5 MiB through and back", hashlib.sha256(on("cat", feed=blob)[1]).hexdigest(), hashlib.sha256(blob).hexdigest())
    equal("input that nobody reads", on("true", feed=blob)[0], 0)
    equal("the folder", on("pwd", cwd="/usr/lib")[1], b"/usr/lib\n")
    env = dict(PATH=os.environ["PATH"], MINE="it's\nmine", SHLVL="9", COGNU_X="1", SSH_TTY="x", EMPTY="")
    text = on("sh", "-c", 'echo "$MINE[$EMPTY]$COGNU_X$SSH_TTY"', env=env)[1]
    equal("variables, but for those of the host", text, b"it's\nmine[]\n")
    equal("many words", len(on("echo", *["word"] * 4000)[1]), 4000 * 5)
    status, _, err = on("echo", *["word"] * 5000)
    check("too many are refused", status == 1 and b"on: " in err)
    status, _, err = on("echo", "x" * 120000)
    equal("a long word", status, 0)
    equal("no command: usage", subprocess.run([ON, tree], capture_output=True).returncode, 2)
    p = subprocess.run([ON, "/no/such/tree", "true"], capture_output=True)
    check("no such tree", p.returncode == 1 and p.stderr.startswith(b"on: "))
    check("nothing is left behind", until(lambda: jobs() == []))


def begin(*words, **named):
    return subprocess.Popen([ON, tree, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, **named)


def signals():
    for signo, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)):
        p = begin("sh", "-c", "echo ready; exec sleep 100")
        p.stdout.readline()
        p.send_signal(signo)
        equal(f"{signo.name} is forwarded", p.wait(10), status)
    p = begin("sh", "-c", "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    p.stdout.readline()
    p.terminate()
    equal("and may be caught", (p.stdout.readline(), p.wait(10)), (b"caught\n", 5))
    p = begin("sh", "-c", "trap '' INT; echo $$; while :; do sleep 0.01; done")
    pid = int(p.stdout.readline())
    for _ in range(3):
        p.send_signal(signal.SIGINT)
        time.sleep(0.1)
    equal("a third interrupt ends what ignores it", p.wait(10), 130)
    check("and soon the command", until(lambda: not os.path.exists(f"/proc/{pid}"), 5))
    p = begin("sh", "-c", "echo $$; exec sleep 100")
    pid = int(p.stdout.readline())
    p.kill()
    p.wait()
    check("the command dies with us", until(lambda: not os.path.exists(f"/proc/{pid}"), 5))
    p = begin("sh", "-c", "echo $$; exec sleep 100")
    pid = int(p.stdout.readline())
    def state(n):
        with open(f"/proc/{n}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    p.send_signal(signal.SIGTSTP)
    check("suspending stops both", until(lambda: state(pid) == "T" and state(p.pid) == "T"))
    p.send_signal(signal.SIGCONT)
    check("and going on goes on", until(lambda: state(pid) == "S" and state(p.pid) == "S"))
    p.terminate()
    p.wait(10)
    p = subprocess.run(f"{ON} {tree} yes | head -n 1", shell=True, capture_output=True, timeout=10)
    equal("a reader that goes away ends it", p.stdout, b"y\n")
    check("nothing is left behind", until(lambda: jobs() == []))


class Terminal:
    """on in a terminal of 24 by 80."""

    def __init__(self, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(ON, [ON, *words])
        self.size(24, 80)
        self.before = termios.tcgetattr(self.fd)

    def size(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def until(self, text, seconds=30):
        out, end = b"", time.monotonic() + seconds
        while text not in out and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    out += os.read(self.fd, 4096)
                except OSError:
                    break
        return out

    def type(self, text):
        os.write(self.fd, text)

    def raw(self):
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def end(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def terminals():
    t = Terminal(tree, "sh", "-c", "tty -s && stty size; read x; echo got $x; exec cat")
    check("the command has a terminal of our size", b"24 80\r\n" in t.until(b"80\r\n"))
    check("ours is raw", t.raw())
    t.type(b"hey\r")
    check("typing is echoed by the other side, once", t.until(b"got hey\r\n").count(b"hey") == 2)
    t.type(b"\x03")
    equal("control-C interrupts the command", t.end(), 130)
    check("and the terminal is as it was", termios.tcgetattr(t.fd)[3] == t.before[3])
    t = Terminal(tree, "sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.01; done")
    t.until(b"ready")
    t.size(50, 132)
    check("a new size arrives", b"50 132" in t.until(b"132"))
    os.kill(t.pid, signal.SIGTERM)
    equal("a signal ends it", t.end(), 143)
    check("and the terminal is as it was", termios.tcgetattr(t.fd)[3] == t.before[3])
    t = Terminal("-p", tree, "sh", "-c", "tty -s || echo none")
    check("-T: no terminal", b"none" in t.until(b"none"))
    equal("its status", t.end(), 0)
    t = Terminal(tree, "bash", "--norc", "-i")
    t.type(b"PS1='> '; sleep 50 & echo do''ne; exit 3\r")
    check("a shell with job control", b"done" in t.until(b"\r\ndone"))
    equal("its status, though a job lives on", t.end(), 3)
    p = subprocess.run([ON, "-t", tree, "sh", "-c", "tty -s && echo terminal"], capture_output=True, timeout=10,
                       stdin=subprocess.DEVNULL)
    equal("-t: a terminal in any case", p.stdout, b"terminal\r\n")
    check("nothing is left behind", until(lambda: jobs() == []))


def main():
    global tree
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse\n0 passed, 0 failed")
        return 0
    with mounted() as tree:
        run(plain, signals, terminals)
    return report()


if __name__ == "__main__":
    signal.alarm(110)
    sys.exit(main())
