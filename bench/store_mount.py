"""The store through its mount, beside gocryptfs, btrfs with zstd on a loop device, and a FUSE file system that only answers.

Called by `bench/store --mount`. Every file system gets the same tree (the sources of this repository, several times, and one large
file), is mounted anew before each figure, and lies in memory where there is room. What the mount of the store allows is measured:
reading in snap/, writing in active/ where that is there. Rows as in bench/store; the row's name ends in that of the peer; a ratio above
1 means that ours is faster. The target is half of what the null file system does.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

TOOLS = ["fio", "gocryptfs", "mkfs.btrfs", "fusermount3"]
BIG, RANDOM = 256 << 20, 32 << 20  # bytes of the large file, and of it those that are read at random
COPIES = 4                         # of the sources


def run(*command, **options):
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)
    if out.returncode:
        sys.exit(f"bench-store: {' '.join(command)}\n{out.stdout}")
    return out.stdout


def wait_for(what):
    for _ in range(300):
        if what():
            return
        time.sleep(0.1)
    sys.exit("bench-store: a mount did not come")


class Mount:
    """One file system: how it is made with the tree in it, mounted and unmounted. reads and writes are folders once it is mounted."""

    def __init__(self, name, top):
        self.name, self.top = name, os.path.join(top, name)
        self.mnt, self.server = os.path.join(self.top, "mnt"), None
        self.reads, self.writes = self.mnt, self.mnt
        os.makedirs(self.mnt)

    def fill(self, tree):
        self.mount()
        run("cp", "-r", f"{tree}/.", self.mnt)
        self.unmount()

    def unmount(self):
        run("umount", self.mnt)
        if self.server:
            self.server.wait(timeout=60)

    def serve(self, *command):
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.ismount(self.mnt))

    def cpu(self):
        """CPU seconds of the processes that serve, so far: they say more than the time where others use the processors, too."""
        total = 0
        for pid in [p for p in os.listdir("/proc") if p.isdigit()] if self.server else []:
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
                if self.server.pid in (parent, int(pid)):
                    for thread in os.listdir(f"/proc/{pid}/task"):
                        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as f:
                            total += int(f.read().split()[0])
            except OSError:
                continue  # it has just ended
        return total / 1e9

    def close(self):
        if os.path.ismount(self.mnt):
            subprocess.run(["umount", "-l", self.mnt], check=False)
        if self.server and self.server.poll() is None:
            self.server.terminate()


class Store(Mount):
    def __init__(self, top, build):
        super().__init__("store", top)
        self.program = os.path.join(build, "commands", "store")
        self.words = [self.program, "-q", "-s", os.path.join(self.top, "repo"), "--passphrase-file", os.path.join(self.top, "pass")]

    def fill(self, tree):
        with open(os.path.join(self.top, "pass"), "w", encoding="ascii") as f:
            f.write("bench\n")
        run(*self.words, "init")
        run(*self.words, "put", "bench", tree)

    def mount(self):
        self.serve(*self.words, "mount", "--active", self.mnt)
        self.reads, active = os.path.join(self.mnt, "snap", "bench"), os.path.join(self.mnt, "active")
        wait_for(lambda: os.path.isdir(self.reads))
        self.writes = active if os.path.isdir(active) and os.access(active, os.W_OK) else None


class Gocryptfs(Mount):
    def __init__(self, top):
        super().__init__("gocryptfs", top)
        self.cipher, self.secret = os.path.join(self.top, "cipher"), os.path.join(self.top, "pass")

    def fill(self, tree):
        os.makedirs(self.cipher)
        with open(self.secret, "w", encoding="ascii") as f:
            f.write("bench\n")
        run("gocryptfs", "-q", "-init", "-passfile", self.secret, self.cipher)
        super().fill(tree)

    def mount(self):
        self.serve("gocryptfs", "-q", "-fg", "-passfile", self.secret, self.cipher, self.mnt)


class Btrfs(Mount):
    def __init__(self, top):
        super().__init__("btrfs-zstd", top)
        self.image = os.path.join(self.top, "image")

    def fill(self, tree):
        with open(self.image, "wb") as f:
            f.truncate(2 << 30)
        run("mkfs.btrfs", "-q", self.image)
        super().fill(tree)

    def mount(self):
        run("mount", "-o", "loop,compress=zstd", self.image, self.mnt)


class Null(Mount):
    """It forgets what is written with its process: so it is filled whenever it is mounted."""

    def __init__(self, top, build):
        super().__init__("null", top)
        self.program, self.tree = os.path.join(build, "bin", "cognu-nullfs"), None

    def fill(self, tree):
        self.tree = tree

    def mount(self):
        self.serve(self.program, self.mnt)
        run("cp", "-r", f"{self.tree}/.", self.mnt)

    def unmount(self):
        self.close()
        self.server.wait(timeout=60)


def fio(folder, mode, block, size, part):
    """Bytes a second."""
    out = json.loads(run("fio", "--name=b", f"--filename={os.path.join(folder, 'big' if 'read' in mode else 'written')}", f"--rw={mode}",
                         f"--bs={block}", f"--size={size}", f"--io_size={part}", "--end_fsync=1", "--allow_file_create=1", "--randseed=7",
                         "--output-format=json"))
    side = out["jobs"][0]["read" if "read" in mode else "write"]
    return side["bw_bytes"]


def cool():
    """Nothing of a file system is in memory, but the programs that use it are: they are the same for all."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
        f.write("3\n")
    run("sh", "-c", "for p in tar find cat sync fio; do $p --version; done")


def seconds(*command, **options):
    start = time.monotonic()
    run(*command, **options)
    return time.monotonic() - start


def untar(folder, archive):
    to = os.path.join(folder, "untar")
    os.makedirs(to)
    took = seconds("sh", "-c", f"tar -xf '{archive}' -C '{to}' && sync -f '{to}'")
    shutil.rmtree(to)
    return took


# name, unit, whether it writes, whether more is better, figure of a folder and the archive
FIGURES = [
    ("seq_read", "MB/s", False, True, lambda d, a: fio(d, "read", "1M", BIG, BIG) / 1e6),
    ("random_read_4k", "MB/s", False, True, lambda d, a: fio(d, "randread", "4k", BIG, RANDOM) / 1e6),
    ("small_files_read", "s", False, False, lambda d, a: seconds("sh", "-c", f"tar -cf - -C '{d}/src' . | cat > /dev/null")),
    ("list", "s", False, False, lambda d, a: seconds("sh", "-c", f"find '{d}/src' -printf '%s %m %T@ %p\\n' | cat > /dev/null")),
    ("seq_write", "MB/s", True, True, lambda d, a: fio(d, "write", "1M", BIG, BIG) / 1e6),
    ("random_write_4k", "MB/s", True, True, lambda d, a: fio(d, "randwrite", "4k", RANDOM, RANDOM) / 1e6),
    ("untar_sources", "s", True, False, untar),
]


def make_tree(top):
    """The tree, and the archive that is unpacked: sources of this repository, and a file that compresses by half."""
    tree, archive = os.path.join(top, "tree"), os.path.join(top, "src.tar")
    run("git", "archive", "-o", archive, "HEAD")
    for i in range(COPIES):
        os.makedirs(os.path.join(tree, "src", str(i)))
        run("tar", "-xf", archive, "-C", os.path.join(tree, "src", str(i)))
        with open(os.path.join(tree, "src", str(i), "copy"), "w", encoding="ascii") as f:
            f.write(str(i))
    with open(os.path.join(tree, "big"), "wb") as f:
        for _ in range(BIG >> 16):
            f.write(os.urandom(1 << 15) + bytes(1 << 15))
    return tree, archive


def main(top, build, pairs, peers, rows):
    if os.geteuid() or not os.access("/dev/fuse", os.W_OK) or not all(map(shutil.which, TOOLS)):
        print("bench-store: --mount needs root, /dev/fuse and " + ", ".join(TOOLS))
        return 77
    tree, archive = make_tree(top)
    mounts = [Store(top, build), Gocryptfs(top), Null(top, build)]
    if "btrfs" in open("/proc/filesystems", encoding="ascii").read() and os.path.exists("/dev/loop-control"):
        mounts.insert(2, Btrfs(top))
    else:
        print("no btrfs, or no loop device: it is left out")
    mounts = [m for m in mounts if m.name == "store" or not peers or m.name in peers]
    found, spent = {}, {}
    try:
        for m in mounts:
            m.fill(tree)
        for _ in range(pairs):
            for name, _, writes, _, figure in [f for f in FIGURES if not rows or f[0] in rows]:
                for m in mounts:
                    m.mount()
                    cool()
                    folder = m.writes if writes else m.reads
                    if folder:
                        before = m.cpu()
                        found.setdefault((name, m.name), []).append(figure(folder, archive))
                        spent.setdefault((name, m.name), []).append(m.cpu() - before)
                    m.unmount()
    finally:
        for m in mounts:
            m.close()
    for (name, peer), seconds_of in spent.items():
        print(f"# {name}: {statistics.median(seconds_of):.3f} s of CPU in the processes of {peer}")
    return report(found, [m.name for m in mounts[1:]], build, rows)


def report(found, peers, build, rows):
    met = targets = 0
    os.makedirs(os.path.join(build, "bench"), exist_ok=True)
    with open(os.path.join(build, "bench", "store_mount.tsv"), "w", encoding="ascii") as out:
        for name, unit, _, more, _ in [f for f in FIGURES if not rows or f[0] in rows]:
            if (name, "store") not in found:
                print(f"# {name}: the mount cannot be written to")
                continue
            ours = statistics.median(found[name, "store"])
            for peer in peers:
                theirs = statistics.median(found[name, peer])
                ratio = ours / theirs if more else theirs / ours
                line = f"{name}_{peer}\t{ours:.4g}\t{peer} {theirs:.4g}\t{ratio:.2f}\t{unit}"
                print(line)
                out.write(line + "\n")
                if peer == "null":
                    targets += 1
                    met += ratio >= 0.5
    if targets:
        print(f"bench-store: through the mount, {met} of {targets} figures are at least half of the null file system's")
    return 0
