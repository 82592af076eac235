#!/usr/bin/env python3
"""A killed FUSE adapter is adopted by its successor: programs that use its mount see a delay and nothing else.

    adopt_test.py [--seed N] [WORD...]    only the parts whose name holds a word

This test is the adapter's init: it holds what it keeps and starts it again. Behind the adapter are a ramfs and a hostfs, each an
ordinary process. All of it lives in pid and mount namespaces of its own, whose first process ends them, and in which every wait
has a deadline. Prints 'N passed, N failed'; needs root and /dev/fuse, and is skipped without.
"""
import ctypes
import faulthandler
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "synth"))
from shelf import Shelf  # noqa: E402

BUILD = os.path.abspath(os.environ.get("COGNU_BUILD", "build"))
WHOLE_S = 110  # for all of it: beyond, it is stopped from outside
WAIT_S = 25    # for anything inside: less than an operation's own deadline
PART_S = 70    # for a part
KILLS = 20
MIB = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)
checks = []


def check(what, good, saw=""):
    checks.append(bool(good))
    print(("ok " if good else "bad ") + what + ("" if good or saw == "" else f": {saw}"), flush=True)
    return good


def equal(what, got, wanted):
    return check(what, got == wanted, f"got {got!r}, wanted {wanted!r}")


def until(condition, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return value


def text_of(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


class Program:
    """A process whose output is a file, so that no pipe outlives it, and whose end is waited for with a deadline."""

    def __init__(self, world, name, argv, **more):
        self.name, self.path = name, os.path.join(world.work, f"{name}.{time.monotonic_ns()}.out")
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                                            **{"stdin": subprocess.DEVNULL, **more})
        world.programs.append(self)

    def end(self, seconds=WAIT_S):
        """Its status; None when it does not end in that time."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def out(self):
        return text_of(self.path)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.end(5)

    def where(self):
        """For the report: where in the kernel it waits."""
        try:
            return f"state {text_of(f'/proc/{self.process.pid}/wchan')} {text_of(f'/proc/{self.process.pid}/stat').split()[2]}"
        except OSError:
            return "gone"


class World:
    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="cognu-adopt-")
        self.programs, self.items, self.lives, self.adapter, self.left = [], {}, 0, None, []
        for d in ("srv", "host", "at"):
            os.mkdir(os.path.join(self.work, d))
        self.at = os.path.join(self.work, "at")
        self.control = os.path.join(self.work, "control")
        self.ramfs = self.server("ramfs", "--bytes-max", "512M")
        self.hostfs = self.server("hostfs", "--tree", f"host={self.work}/host")
        self.log = open(os.path.join(self.work, "fuse.log"), "ab")
        self.start()
        self.mount()

    def server(self, name, *options):
        path = os.path.join(self.work, "srv", name)
        p = Program(self, name, [f"{BUILD}/bin/cognu-{name}", *options, "--socket", path])
        assert until(lambda: os.path.exists(path)), f"{name} does not start: {p.out()}"
        return p

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.shelf = Shelf(ours, self.items)
        self.adapter = subprocess.Popen(
            [f"{BUILD}/bin/cognu-fuse", "--control", self.control, "--srv", f"{self.work}/srv", "--self", "here",
             "--keep", str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, start_new_session=True)
        theirs.close()
        self.lives += 1

    def kill(self, sig=signal.SIGKILL):
        """Ends the adapter; what it kept stays. As init does, this does not wait for a process that has closed its socket: a thread of
        it may wait in the kernel for an answer which its successor gives."""
        self.adapter.send_signal(sig)
        self.shelf.join(10)
        assert not self.shelf.is_alive(), "the adapter does not close its socket"
        self.shelf.sock.close()
        try:
            self.adapter.wait(0.05)
        except subprocess.TimeoutExpired:
            self.left.append(self.adapter)

    def again(self, away=0.0, sig=signal.SIGKILL):
        self.kill(sig)
        time.sleep(away)
        self.start()

    def mount(self):
        fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions".encode()
        if libc.mount(b"cognu", self.at.encode(), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), "mounting")
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(WAIT_S)
        assert until(lambda: s.connect_ex(self.control) == 0), "no control socket"
        text = "new main\nmount -c .!ramfs /\nmount -c .!hostfs!host /host\nmount -c .!hostfs!host /twin\n"
        socket.send_fds(s, [text.encode()], [fd])
        said = s.recv(4096)
        os.close(fd)
        s.close()
        assert said == b"ok\n", said

    def logged(self):
        return text_of(self.log.name)

    def path(self, *names):
        return os.path.join(self.at, *names)

    def bash(self, line, **more):
        return Program(self, "bash", ["bash", "-c", line], cwd=self.at, **more)

    def python(self, name, *args):
        return Program(self, name, [sys.executable, "-B", os.path.join(HERE, "load.py"), name, *map(str, args)], cwd=self.at)

    def close(self):
        for p in self.programs:
            p.stop()
        if self.adapter.poll() is None:
            self.adapter.kill()
            self.adapter.wait(5)


def ended(what, program, seconds=WAIT_S):
    """The program ends, with status 0."""
    status = program.end(seconds)
    return check(what, status == 0, f"status {status}, {program.where()}, {program.out()[-300:]!r}")


class Talk:
    """A process that takes a line and answers with a text that ends in a mark. Whatever holds files of the mount open is one: this
    test must not, for its children would close them before they become adapters, and so wait for an adapter."""

    def __init__(self, argv, cwd, line):
        self.process = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        self.line, self.out, self.n = line, b"", 0

    def begin(self, text):
        self.n += 1
        self.process.stdin.write(self.line(text, f"={self.n}=").encode())
        self.process.stdin.flush()

    def end(self, seconds=WAIT_S):
        mark = f"={self.n}=".encode()
        end = time.monotonic() + seconds
        while mark not in self.out:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return f"no answer, only {self.out!r}"
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                return f"it ended: {self.out!r}"
            self.out += piece
        text, _, self.out = self.out.partition(mark)
        self.out = self.out.lstrip(b"\n")
        return text.decode(errors="replace")

    def do(self, text, seconds=WAIT_S):
        self.begin(text)
        return self.end(seconds)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdout.close()


def shell(cwd):
    """bash: the answer is the output and the status."""
    return Talk(["bash", "--norc"], cwd, lambda text, mark: f"{text}; echo $?{mark}\n")


def python(cwd):
    """Statements, and an expression at the end whose text is the answer; an exception's text if there is one."""
    loop = """
import sys
names = {}
for line in sys.stdin:
    code, mark = eval(line)
    *first, last = code.split("\\n")
    try:
        exec("\\n".join(first), names)
        try:
            last = compile(last, "line", "eval")
        except SyntaxError:
            last = compile(last, "line", "exec")
        out = eval(last, names)
    except Exception as e:
        out = repr(e)
    print(out, end=mark + "\\n", flush=True)
"""
    return Talk([sys.executable, "-c", loop], cwd, lambda text, mark: repr((text, mark)) + "\n")


# ---- parts ----


def idle_shell(w):
    """Its directory, its open files and its position in a listing are there after a death."""
    os.makedirs(w.path("deep", "er"))
    sh = shell(w.path("deep"))
    equal("a shell in the mount", sh.do("echo one >f; exec 3<>f 4<f; head -c 2 <&4"), "on0")
    w.again(0.1)
    equal("goes on after a kill: its open files", sh.do("cat <&4; echo two >&3; cat f"), "e\ntwo\n0")
    equal("its directory", sh.do("pwd -P; ls; cat er/none 2>&1"), f"{w.path('deep')}\ner\nf\ncat: er/none: No such file or directory\n1")
    reader = python(w.at)
    reader.do("""import ctypes, os
libc = ctypes.CDLL(None)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.readdir.argtypes = [ctypes.c_void_p]
for i in range(300): open(f"n{i}", "w").close()
listing = libc.opendir(b".")
listing = ctypes.c_void_p(listing)
def entries(most): return [ctypes.string_at(e + 19).decode() for e in iter(lambda: libc.readdir(listing), None) if e][:most]
def some(n): return [ctypes.string_at(libc.readdir(listing) + 19).decode() for _ in range(n)]
0""")
    names = eval(reader.do("some(50)"))
    w.again()
    names += eval(reader.do("entries(100000)"))
    reader.close()
    wanted = {f"n{i}" for i in range(300)} | {".", "..", "deep", "host", "twin", "mnt", "proc", "dev"}
    check("a listing goes on, each name once", sorted(names) == sorted(wanted), sorted(set(names) ^ wanted))
    equal("what has the same file keeps its number", sh.do("a=$(stat -c %i f); echo x >>f; [ $a = $(stat -c %i f) ] && echo same"), "same\n0")
    before = os.stat(w.path("deep", "f")).st_ino
    w.again(sig=signal.SIGTERM)
    equal("so it is after an orderly end", (os.stat(w.path("deep", "f")).st_ino, sh.do("cat f")), (before, "two\nx\n0"))
    sh.close()
    check("the log tells of each", w.logged().count("namespace main goes on") == w.lives - 1, w.logged()[-500:])


def open_and_removed(w):
    p = python(w.at)
    p.do("import os\nf = open('removed', 'w+b')\nf.write(b'still there')\nf.flush()\nos.unlink('removed')")
    w.again()
    equal("an open file without a name is read on", p.do("f.seek(0)\nf.read()"), "b'still there'")
    p.do("f.write(b', and written')\nf.flush()")
    w.again()
    equal("and written on", p.do("f.seek(0)\nf.read()"), "b'still there, and written'")
    p.close()


def locks(w):
    """Locks are the session's: they stand, and others wait for them."""
    holder, other = python(w.at), python(w.at)
    equal("a lock is taken", holder.do("import fcntl\nf = open('locked', 'w+b')\nfcntl.lockf(f, fcntl.LOCK_EX)"), "None")
    w.again()
    other.do("import fcntl\nf = open('locked', 'r+b')")
    check("it outlives the adapter", "Resource temporarily" in (r := other.do("fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)")), r)
    other.begin("fcntl.lockf(f, fcntl.LOCK_EX)")
    time.sleep(0.3)
    w.again()
    check("who waited for it waits on", "no answer" in (r := other.end(0.3)), r)
    holder.do("fcntl.lockf(f, fcntl.LOCK_UN)")
    equal("and gets it when it is free", other.end(), "None")
    other.begin("fcntl.lockf(f, fcntl.LOCK_UN)")
    other.end()
    holder.do("fcntl.lockf(f, fcntl.LOCK_EX)")
    other.begin("fcntl.lockf(f, fcntl.LOCK_EX)")
    time.sleep(0.3)
    w.again()
    time.sleep(0.3)
    other.process.send_signal(signal.SIGINT)
    check("^C ends the waiting of one that was adopted", "ended" in (r := other.end(5)) or "Interrupt" in r, r)
    holder.close()
    other.close()


def read_in_flight(w):
    big = random.Random(1).randbytes(8 * MIB)
    with open(f"{w.work}/host/big", "wb") as f:
        f.write(big)
    w.hostfs.process.send_signal(signal.SIGSTOP)
    readers = [w.bash("cat host/big | cksum"), w.bash("ls -l host"), w.bash("stat host/big")]
    time.sleep(0.3)
    w.again()
    time.sleep(0.3)
    w.again()
    w.hostfs.process.send_signal(signal.SIGCONT)
    for p, what in zip(readers, ("reader", "listing", "stat")):
        ended(f"a {what} that two adapters in turn were asked for ends well", p)
    p = Program(w, "cksum", ["cksum"], stdin=open(f"{w.work}/host/big", "rb"))
    p.end()
    equal("with the right bytes", readers[0].out(), p.out())


def write_in_flight(w):
    data = random.Random(2).randbytes(MIB)
    with open(f"{w.work}/src", "wb") as f:
        for i in range(150):
            f.write(data[i:] + data[:i])
    p = w.bash(f"cp {w.work}/src host/copy && cp {w.work}/src copy")
    until(lambda: os.path.exists(f"{w.work}/host/copy") and os.path.getsize(f"{w.work}/host/copy") > 30 * MIB)
    w.again()
    ended("a copy goes on over a kill", p, 60)
    ended("the copy is whole", w.bash(f"cmp {w.work}/src host/copy && cmp {w.work}/src copy"), 60)
    w.hostfs.process.send_signal(signal.SIGSTOP)
    p = w.bash("(echo first; echo second) >>host/held; echo third >>host/held; mkdir host/held.d && mv host/held host/held.d/moved")
    time.sleep(0.3)
    w.again()
    time.sleep(0.2)
    w.hostfs.process.send_signal(signal.SIGCONT)
    ended("writes that a stopped server had not taken are made", p)
    equal("once each", text_of(f"{w.work}/host/held.d/moved"), "first\nsecond\nthird\n")


def written_behind(w):
    """What a write was answered is not lost with the adapter, even when the server had not heard of it."""
    p = python(w.at)
    p.do("""import os
open("host/behind", "w").close()
fd = os.open("host/behind", os.O_WRONLY | os.O_APPEND)
os.write(fd, b"begin\\n")
os.fsync(fd)""")
    w.hostfs.process.send_signal(signal.SIGSTOP)
    p.begin("[os.write(fd, f'line {i}\\n'.encode()) for i in range(10)]")
    answered = "no answer" not in p.end(1)
    w.again()
    w.hostfs.process.send_signal(signal.SIGCONT)
    if not answered:
        p.end()
    equal("ten appends to a stopped server, and a kill", p.do("os.fsync(fd)"), "None")
    equal("each is there once", text_of(f"{w.work}/host/behind"), "begin\n" + "".join(f"line {i}\n" for i in range(10)))
    print(f"# they were {'' if answered else 'not '}answered before the kill", flush=True)
    p.close()


def notifier_waits(w):
    """The adapter's notifier waits in the kernel for pages of a read that is under way, so its process does not end when it is
    killed. Nobody may wait for it: what it waits for is its successor's answer."""
    p = python(w.at)
    p.do(f"import os\nfd = os.open('twin/twice', os.O_WRONLY | os.O_CREAT)\nos.write(fd, b'x' * {MIB})\nos.fsync(fd)")
    ended("the file is seen at both places", w.bash("stat host/twice twin/twice"))
    w.hostfs.process.send_signal(signal.SIGSTOP)
    reader = w.bash("cksum <host/twice")
    time.sleep(0.3)
    p.begin("os.pwrite(fd, b'z', 0)")  # so the pages of host/twice are to be forgotten, which the reader has locked

    def waits():
        task = f"/proc/{w.adapter.pid}/task"
        return "D" in [text_of(f"{task}/{t}/stat").rpartition(") ")[2][:1] for t in os.listdir(task)]

    check("the notifier waits", until(waits), f"the reader: {reader.where()}")
    before = len(w.left)
    w.again()
    check("a killed adapter waits in the kernel", len(w.left) == before + 1, w.left)
    time.sleep(0.2)
    w.hostfs.process.send_signal(signal.SIGCONT)
    ended("its successor answers the reader", reader)
    equal("and the writer", p.end(), "1")
    check("and so the old one ends", until(lambda: all(q.poll() is not None for q in w.left)), w.left)
    p.close()


def crash_loop(w, seed):
    """Kills under load: programs that change names, append, read and write, and none sees an error or a thing done twice."""
    chance = random.Random(seed)
    load = {"names": w.python("names", "names"), "append": w.python("append", "log"), "hostnames": w.python("names", "host/names"),
            "hostappend": w.python("append", "host/log"), "bulk": w.python("bulk", "bulk"), "many": w.python("many", "host/many")}
    end = time.monotonic() + 55
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.4))
        w.again(chance.choice((0, 0, 0.05)))
        if time.monotonic() > end:
            break
    check(f"{KILLS} kills under load", time.monotonic() <= end, f"{w.lives} lives")
    open(f"{w.work}/stop", "w").close()
    for name, p in load.items():
        done = ended(f"{name} saw nothing of it", p)
        if done:
            print(f"# {name}: {p.out().strip()}", flush=True)
    left = len(w.left)
    check("every adapter has ended", until(lambda: all(p.poll() is not None for p in w.left)), w.left)
    print(f"# {left} of {w.lives} waited in the kernel for their successors", flush=True)
    for path in ("log", "host/log"):
        lines = text_of(w.path(path)).split()
        equal(f"{path}: every line once, in order", lines, [str(i) for i in range(len(lines))])


def end_of_a_namespace(w):
    check("what is kept while it is mounted", {b"spaces", b"fuse.1"} <= set(w.items), w.items)
    for p in w.programs:
        p.stop() if p not in (w.ramfs, w.hostfs) else None
    if libc.umount2(w.at.encode(), 2) != 0:
        check("unmounting", False, os.strerror(ctypes.get_errno()))
    check("is given back when it is not", until(lambda: set(w.items) == {b"spaces"}), w.items)
    w.again()
    w.mount()
    open(w.path("after"), "w").close()
    check("and another can be mounted", os.path.exists(w.path("after")))


PARTS = [idle_shell, open_and_removed, locks, read_in_flight, write_in_flight, written_behind, notifier_waits, crash_loop, end_of_a_namespace]


def stuck(w, name):
    """This process itself waits in the mount: all that is known, and the end."""
    print(f"bad {name} is stuck", flush=True)
    faulthandler.dump_traceback(sys.stdout, all_threads=True)
    for p in w.programs:
        if p.process.poll() is None:
            print(f"{p.name}: {p.where()}, {p.out()[-200:]!r}")
    print(w.logged()[-3000:], "0 passed, 1 failed", sep="\n", flush=True)
    os._exit(1)


def inside(words, seed):
    print(f"# replay with --seed {seed}", flush=True)
    w = World()
    try:
        for part in PARTS:
            if words and not any(word in part.__name__ for word in words):
                continue
            began = time.monotonic()
            watch = threading.Timer(PART_S, stuck, [w, part.__name__])
            watch.daemon = True
            watch.start()
            try:
                part(w, seed) if part is crash_loop else part(w)
            except (OSError, AssertionError, subprocess.SubprocessError) as e:
                traceback.print_exc()
                check(part.__name__, False, repr(e))
            watch.cancel()
            print(f"# {part.__name__} took {time.monotonic() - began:.1f} s", flush=True)
        if False in checks:
            print(w.logged()[-3000:])
    finally:
        w.close()
    failed = checks.count(False)
    print(f"{len(checks) - failed} passed, {failed} failed", flush=True)
    os._exit(1 if failed else 0)  # ends the pid namespace, whatever still waits in it


def main():
    words, seed = sys.argv[1:], int.from_bytes(os.urandom(3), "little")
    if words[:1] == ["--inside"]:
        libc.mount(None, b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE: what is mounted here is not seen outside
        inside(words[2:], int(words[1]))
    if words[:1] == ["--seed"]:
        seed, words = int(words[1]), words[2:]
    if os.getuid() != 0 or not os.path.exists("/dev/fuse"):
        print("skipped: needs root and /dev/fuse\n0 passed, 0 failed")
        return 0
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-B", os.path.abspath(__file__),
               "--inside", str(seed), *words]
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        return p.wait(WHOLE_S)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()
        print(f"it did not end within {WHOLE_S} s\n0 passed, 1 failed")
        return 1


if __name__ == "__main__":
    sys.exit(main())
