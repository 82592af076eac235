#!/usr/bin/env python3
"""Two Python processes, one on alpha in /n/beta/w and one on beta in /w, that do what they are told.

    pair.py CELL list     the names of the checks
    pair.py CELL NAME     one of them: status 0, or a traceback

COGNU_SEED decides what the random checks do.
"""
import json
import os
import random
import signal
import subprocess
import sys
import time

AGENT = r"""
import ast, errno, fcntl, hashlib, json, mmap, os, select, signal, stat, sys, time
names = globals()
for line in sys.stdin:
    try:
        tree = ast.parse(json.loads(line))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<told>", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "<told>", "eval"), names) if last else None
        answer = {"value": repr(value)}
    except OSError as e:
        answer = {"errno": errno.errorcode.get(e.errno, str(e.errno))}
    except BaseException as e:
        answer = {"error": repr(e)}
    print(json.dumps(answer), flush=True)
"""
ANSWER_S = 40
cell = sys.argv[1]


class Failed(Exception):
    """A system call on a node failed; its argument is the name of the errno."""


class Node:
    def __init__(self, name, folder):
        self.name = name
        command = f"cd {folder} && exec /usr/bin/python3 -uc '{AGENT}'"
        self.process = subprocess.Popen([cell, "run", "-n", name, command], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def tell(self, code):
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()

    def answer(self):
        signal.alarm(ANSWER_S)
        line = self.process.stdout.readline()
        signal.alarm(0)
        assert line, f"{self.name} has ended"
        answer = json.loads(line)
        if "errno" in answer:
            raise Failed(answer["errno"])
        assert "value" in answer, f"{self.name}: {answer}"
        return eval(answer["value"])

    def __call__(self, code):
        self.tell(code)
        return self.answer()

    def fails(self, code):
        try:
            value = self(code)
        except Failed as e:
            return e.args[0]
        raise AssertionError(f"{self.name}: {code} gave {value!r}")


def pair():
    return Node("alpha", "/n/beta/w"), Node("beta", "/w")


def eventually(node, code):
    for _ in range(50):
        try:
            return node(code)
        except Failed:
            time.sleep(0.02)
    return node(code)


def is_(got, wanted, what=""):
    assert got == wanted, f"{what}: {got!r} is not {wanted!r}"


def open_and_unlink(alpha, beta):
    """Who has a file open reads and writes it after anybody removed its name."""
    for one, other in (alpha, beta), (beta, alpha):
        one("f = os.open('u', os.O_RDWR | os.O_CREAT); os.write(f, b'before'); os.fsync(f)")
        other("g = os.open('u', os.O_RDWR)")
        is_(other("os.pread(g, 100, 0)"), b"before")
        one("os.unlink('u')")
        is_(other.fails("os.stat('u')"), "ENOENT")
        is_(other("os.pread(g, 100, 0)"), b"before")
        one("os.write(f, b' after'); os.fsync(f)")
        is_(other("os.pread(g, 100, 0)"), b"before after")
        is_(other("os.fstat(g).st_nlink"), 0)
        other("os.ftruncate(g, 3); os.fchmod(g, 0o640)")
        is_(one("os.fstat(f).st_size, os.fstat(f).st_mode & 0o777"), (3, 0o640))
        one("h = os.open('u', os.O_RDWR | os.O_CREAT | os.O_EXCL)")
        is_(other("os.stat('u').st_ino == os.fstat(g).st_ino"), False)
        one("os.close(f); os.close(h); os.remove('u')")
        is_(other("os.pread(g, 100, 0)"), b"bef")
        other("os.close(g)")


def rename_over_open(alpha, beta):
    """A rename over an open file: the handle keeps the old file, the name leads to the new one."""
    for one, other in (alpha, beta), (beta, alpha):
        one("open('r', 'w').write('old'); f = open('r')")
        other("open('r.new', 'w').write('newer'); g = open('r'); os.rename('r.new', 'r')")
        is_(one("f.read(), open('r').read(), os.stat('r').st_size"), ("old", "newer", 5))
        is_(other("g.read(), open('r').read(), os.path.exists('r.new')"), ("old", "newer", False))
        one("os.mkdir('rd'); d = os.open('rd', os.O_RDONLY); open('rd/in', 'w').close()")
        other("os.rename('rd', 'moved')")
        is_(one("os.listdir(d), os.path.exists('rd'), os.listdir('moved')"), (["in"], False, ["in"]))
        one("os.close(d); os.remove('moved/in'); os.rmdir('moved'); os.remove('r')")


def atomic_replace(alpha, beta):
    """Who writes beside and renames is never seen half, nor is the name ever missing."""
    beta("open('ar', 'w').write('0' * 1000)")
    beta.tell("""
for i in range(200):
    with open('ar.tmp', 'w') as f:
        f.write(str(i % 10) * 1000)
    os.rename('ar.tmp', 'ar')
""")
    seen = alpha("""
seen = set()
begin = time.time()
while time.time() < begin + 2:
    t = open('ar').read()
    assert len(t) == 1000 and t == t[0] * 1000, t
    seen.add(t[0])
len(seen)
""")
    beta.answer()
    assert seen > 1, seen
    is_(alpha("open('ar').read(1)"), "9")
    alpha("os.remove('ar')")


def locks(alpha, beta):
    """fcntl and flock exclude each other's like across nodes, wait, and go with a killed holder."""
    take = {"fcntl": "fcntl.lockf(f, fcntl.LOCK_EX{}, 10, 5)", "flock": "fcntl.flock(f, fcntl.LOCK_EX{})"}
    drop = {"fcntl": "fcntl.lockf(f, fcntl.LOCK_UN, 10, 5)", "flock": "fcntl.flock(f, fcntl.LOCK_UN)"}
    alpha("open('l', 'w').write('x' * 100)")
    for kind in "fcntl", "flock":
        now, wait, free = take[kind].format(" | fcntl.LOCK_NB"), take[kind].format(""), drop[kind]
        for one, other in (alpha, beta), (beta, alpha):
            one("f = os.open('l', os.O_RDWR)")
            other("f = os.open('l', os.O_RDWR)")
            one(now)
            is_(other.fails(now), "EAGAIN", kind)
            other.tell(f"t = time.time(); {wait}; time.time() - t")
            time.sleep(0.5)
            one(free)
            assert 0.3 < other.answer() < 5
            is_(one.fails(now), "EAGAIN", kind)
            other("os.close(f)")  # closing lets go too; of flock a moment later
            eventually(one, now)
            one("os.close(f)")
            # a holder that is killed
            pid = one(f"""
r, w = os.pipe()
pid = os.fork()
if pid == 0:
    f = os.open('l', os.O_RDWR)
    {now}
    os.write(w, b'x')
    time.sleep(1000)
os.read(r, 1)
pid
""")
            other("f = os.open('l', os.O_RDWR)")
            is_(other.fails(now), "EAGAIN", kind)
            other.tell(f"t = time.time(); {wait}; time.time() - t")
            time.sleep(0.3)
            one(f"os.kill({pid}, signal.SIGKILL); os.waitpid({pid}, 0)")
            assert other.answer() < 5
            other("os.close(f)")
    alpha("f = os.open('l', os.O_RDWR); fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)")
    beta("f = os.open('l', os.O_RDWR); fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 10)")
    alpha("g = os.open('l', os.O_RDWR); fcntl.lockf(g, fcntl.LOCK_SH | fcntl.LOCK_NB, 10, 50)")
    beta("g = os.open('l', os.O_RDWR); fcntl.lockf(g, fcntl.LOCK_SH | fcntl.LOCK_NB, 10, 50)")
    is_(alpha.fails("fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 50)"), "EAGAIN")
    # a signal ends a wait
    pid = alpha("""
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.lockf(g, fcntl.LOCK_EX, 10, 10)
    os._exit(0)
time.sleep(0.3)
os.kill(pid, signal.SIGINT)
os.waitpid(pid, 0)[1]
""")
    is_(pid, signal.SIGINT)
    for node in alpha, beta:
        node("os.close(f); os.close(g)")
    alpha("os.remove('l')")


def counter(alpha, beta):
    """200 times read, add one, write, under a lock, on each node, by two processes there."""
    for lock, free in (("fcntl.lockf(f, fcntl.LOCK_EX)", "fcntl.lockf(f, fcntl.LOCK_UN)"),
                       ("fcntl.flock(f, fcntl.LOCK_EX)", "fcntl.flock(f, fcntl.LOCK_UN)")):
        alpha("open('c', 'w').write('0')")
        for node in alpha, beta:
            node.tell(f"""
pids = []
for _ in range(2):
    pids.append(os.fork())
    if pids[-1] == 0:
        f = os.open('c', os.O_RDWR)
        for i in range(100):
            {lock}
            n = int(os.pread(f, 100, 0))
            os.pwrite(f, str(n + 1).encode(), 0)
            {free}
        os._exit(0)
[os.waitpid(p, 0)[1] for p in pids]
""")
        is_(alpha.answer(), [0, 0])
        is_(beta.answer(), [0, 0])
        is_(alpha("open('c').read()"), "400")
        is_(beta("open('c').read()"), "400")
    alpha("os.remove('c')")


def shared_map(alpha, beta):
    """Writable shared memory within a node; what was synced is what the other node reads."""
    for one, other in (alpha, beta), (beta, alpha):
        is_(one("""
open('m', 'wb').write(bytes(100000))
f = os.open('m', os.O_RDWR)
m = mmap.mmap(f, 0)
pid = os.fork()
if pid == 0:
    n = mmap.mmap(os.open('m', os.O_RDWR), 0)
    n[5000:5005] = b'child'
    os._exit(0)
os.waitpid(pid, 0)
m[99999] = 7
got = m[5000:5005], os.pread(f, 5, 5000)
m.flush()
got
"""), (b"child", b"child"))
        is_(other("t = open('m', 'rb').read(); (len(t), t[5000:5005], t[99999])"), (100000, b"child", 7))
        one("m[0:3] = b'end'; m.close(); os.close(f)")
        time.sleep(0.1)
        is_(other("open('m', 'rb').read(3)"), b"end")
        other("n = mmap.mmap(os.open('m', os.O_RDONLY), 0, prot=mmap.PROT_READ)")
        one("g = os.open('m', os.O_RDWR); os.pwrite(g, b'seen', 70000); os.close(g)")
        is_(other("n[70000:70004]"), b"seen")  # through a map that was there before
        other("n.close()")
        one("os.remove('m')")


def append(alpha, beta):
    """Lines appended by two processes on each node: none lost, none torn, each writer's in order."""
    for node in alpha, beta:
        node.tell(f"""
pids = []
for p in range(2):
    pids.append(os.fork())
    if pids[-1] == 0:
        f = os.open('log', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for i in range(200):
            os.write(f, f'{node.name}{{p}} {{i}} {{"x" * (i % 50)}}\\n'.encode())
        os._exit(0)
[os.waitpid(p, 0)[1] for p in pids]
""")
    for node in alpha, beta:
        is_(node.answer(), [0, 0])
    text = alpha("open('log').read()")
    is_(beta("open('log').read()") == text, True)
    last = {}
    for line in text.splitlines():
        who, i, x = line.split(" ")
        is_(int(i), last.get(who, -1) + 1, who)
        is_(len(x), int(i) % 50)
        last[who] = int(i)
    is_(sorted(last.values()), [199] * 4)
    alpha("os.remove('log')")


def handles_see(alpha, beta):
    """A handle that is open on one side sees what the other has synced, with no close between."""
    for one, other in (alpha, beta), (beta, alpha):
        one("f = os.open('h', os.O_RDWR | os.O_CREAT); os.write(f, b'1' * 10000); os.fsync(f)")
        other("g = os.open('h', os.O_RDWR)")
        for i in range(30):
            who, reader, fd, rfd = (one, other, "f", "g") if i % 2 else (other, one, "g", "f")
            who(f"os.pwrite({fd}, b'{i:05}', {i * 300}); os.fsync({fd})")
            is_(reader(f"os.pread({rfd}, 5, {i * 300})"), b"%05d" % i)
            is_(reader("os.stat('h').st_mtime_ns"), who("os.stat('h').st_mtime_ns"))
        one("os.ftruncate(f, 100)")
        is_(other("os.fstat(g).st_size, len(os.pread(g, 1000, 0))"), (100, 100))
        one("open('born', 'x').close()")
        other("os.stat('born').st_size")
        one("n = os.open('unclosed', os.O_WRONLY | os.O_CREAT); os.write(n, b'data'); os.fsync(n)")
        is_(other("open('unclosed').read()"), "data")
        one("os.close(n); os.remove('born'); os.remove('unclosed'); os.close(f); os.remove('h')")
        other("os.close(g)")


def create_once(alpha, beta):
    """Of two who create one name exclusively, one wins: 40 rounds."""
    for i in range(40):
        for node in alpha, beta:
            node.tell(f"""
try:
    os.close(os.open('e{i}', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    won = 1
except FileExistsError:
    won = 0
won
""")
        is_(alpha.answer() + beta.answer(), 1)
        for node in alpha, beta:
            node.tell(f"""
try:
    os.unlink('e{i}')
    won = 1
except FileNotFoundError:
    won = 0
won
""")
        is_(alpha.answer() + beta.answer(), 1)


class Shadow:
    """What the directory must hold: name -> contents, or a set of names for a directory."""

    def __init__(self, rng):
        self.rng, self.files, self.dirs = rng, {}, {""}

    def path(self):
        base = self.rng.choice(sorted(self.dirs))
        return os.path.join(base, "n%d" % self.rng.randrange(6))

    def children(self, d):
        every = set(self.files) | (self.dirs - {""})
        return sorted(p[len(d):].lstrip("/") for p in every if os.path.dirname(p) == d)

    def change(self):
        """A random change, as code; applied to the shadow."""
        for _ in range(100):
            p, what = self.path(), self.rng.randrange(9)
            is_file, is_dir = p in self.files, p in self.dirs
            text = "%d " % self.rng.randrange(10 ** 9) * self.rng.choice((0, 1, 10, 3000))
            if what in (0, 1) and not is_dir:
                self.files[p] = text
                return f"open({p!r}, 'w').write({text!r})"
            if what == 2 and is_file:
                self.files[p] += text
                return f"open({p!r}, 'a').write({text!r})"
            if what == 3 and is_file:
                del self.files[p]
                return f"os.remove({p!r})"
            if what == 4 and not is_file and not is_dir and p.count("/") < 3:
                self.dirs.add(p)
                return f"os.mkdir({p!r})"
            if what == 5 and is_dir and not self.children(p):
                self.dirs.discard(p)
                return f"os.rmdir({p!r})"
            if what == 6 and is_file:
                to = self.path()
                if to not in self.dirs:
                    self.files[to] = self.files.pop(p)
                    return f"os.rename({p!r}, {to!r})"
            if what == 7 and is_file:
                n = self.rng.randrange(20000)
                self.files[p] = self.files[p][:n].ljust(n, "\0")
                return f"os.truncate({p!r}, {n})"
            if what == 8 and is_dir and p.count("/") < 2:
                to = self.path()
                if to not in self.files and to not in self.dirs and not to.startswith(p + "/"):
                    move = lambda q: to + q[len(p):] if q == p or q.startswith(p + "/") else q
                    self.files = {move(q): t for q, t in self.files.items()}
                    self.dirs = {move(q) for q in self.dirs}
                    return f"os.rename({p!r}, {to!r})"
        return f"open('n0', 'w').write('')" if self.files.setdefault("n0", "") else "None"

    def look(self):
        """A question, as code, and its answer."""
        p, d = self.path(), self.rng.choice(sorted(self.dirs))
        return self.rng.choice([
            (f"sorted(os.listdir({d or '.'!r}))", self.children(d)),
            (f"os.path.isfile({p!r}), os.path.isdir({p!r})", (p in self.files, p in self.dirs)),
            (f"open({p!r}).read() if os.path.isfile({p!r}) else None", self.files.get(p)),
            (f"os.stat({p!r}).st_size if os.path.isfile({p!r}) else None",
             len(self.files[p]) if p in self.files else None),
        ])

    def whole(self):
        return "whole()", (sorted(self.dirs - {""}), sorted((p, t) for p, t in self.files.items()))


def alternations(alpha, beta):
    """200 random changes, by either side; after each, both sides, which had all of it warm, see it."""
    seed = int(os.environ.get("COGNU_SEED") or random.randrange(2 ** 32))
    print(f"COGNU_SEED={seed}")
    shadow, rng, done = Shadow(random.Random(seed)), random.Random(seed + 1), []
    alpha("os.mkdir('alt')")
    for node in alpha, beta:
        node("""
os.chdir('alt')
def whole():
    dirs, files = [], []
    for top, ds, fs in os.walk('.'):
        dirs += [os.path.join(top, d)[2:] for d in ds]
        for f in fs:
            text = open(os.path.join(top, f)).read()
            assert os.stat(os.path.join(top, f)).st_size == len(text)
            files.append((os.path.join(top, f)[2:], text))
    return sorted(dirs), sorted(files)
""")
    for step in range(200):
        writer = rng.choice((alpha, beta))
        code = shadow.change()
        done.append(f"{writer.name}: {code[:100]}")
        try:
            writer(code)
            for reader in (alpha, beta) if rng.random() < 0.5 else (beta, alpha):
                for question, wanted in [shadow.look() for _ in range(4)] + [shadow.whole()] * (step % 10 == 9):
                    got = reader(question)
                    assert got == wanted, f"{reader.name}: {question}: {got!r:.500} is not {wanted!r:.500}"
        except (AssertionError, Failed) as e:
            raise AssertionError(f"step {step}: {e}; before: " + "; ".join(done[-4:])) from None
    for node in alpha, beta:
        node("os.chdir('..')")
    alpha("import shutil; shutil.rmtree('alt')")
    is_(beta("os.path.exists('alt')"), False)


CHECKS = [open_and_unlink, rename_over_open, atomic_replace, locks, counter, shared_map, append,
          handles_see, create_once, alternations]


def main():
    if sys.argv[2] == "list":
        print(*(c.__name__ for c in CHECKS), sep="\n")
        return
    check = next(c for c in CHECKS if c.__name__ == sys.argv[2])
    alpha, beta = pair()
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"no answer in {ANSWER_S} s"))
    try:
        check(alpha, beta)
    finally:
        for node in alpha, beta:
            node.process.stdin.close()


if __name__ == "__main__":
    main()
