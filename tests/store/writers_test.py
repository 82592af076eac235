#!/usr/bin/env python3
"""Three writers and a collector use one store at the same time, each a process of its own, and some are killed at random instants.

Each writer puts trees that share most of their contents with the others', and drops its own older snapshots, so that chunks die while
others find them. The collector runs without pause. At the end every line's newest snapshot is what was put, and the check is clean.

usage: writers_test.py [ROUNDS]     default 4; COGNU_SEED replays the choices (not the timing)
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ.get("COGNU_BUILD", "build")
STORE = os.path.join(BUILD, "commands", "store")
WRITERS = 3
DEADLINE_S = 100  # of one command
ENOUGH_S = 45     # no new round after this: a loaded machine does fewer


def make_tree(root, rnd):
    """A few files of a pool of contents that all writers draw from."""
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(os.path.join(root, "sub"))
    for name in rnd.sample(range(40), 12):
        content = random.Random(rnd.randrange(25)).randbytes(30000) * rnd.randrange(1, 4)
        with open(os.path.join(root, "sub" if name % 2 else "", f"f{name}"), "wb") as f:
            f.write(content)


class Cell:
    def __init__(self, top, seed, rounds):
        self.top, self.seed, self.rounds = top, seed, rounds
        self.failures, self.kills, self.collections, self.freed = [], 0, 0, 0
        self.enough = time.monotonic() + ENOUGH_S
        self.working = threading.Event()

    def command(self, *words):
        return [STORE, "-s", f"{self.top}/s", "--passphrase-file", f"{self.top}/pass", "--threads", "1", *words]

    def run(self, *words):
        out = subprocess.run(self.command(*words), capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        if out.returncode:
            self.failures.append(f"{' '.join(words)}: {out.stderr.strip()}")
        return out.stdout

    def write(self, me):
        rnd = random.Random(self.seed * 100 + me)
        tree = f"{self.top}/t{me}"
        for _ in range(self.rounds):
            make_tree(tree, rnd)
            if rnd.randrange(3) == 0:
                self.kill_one(me, tree, rnd)
            self.run("-q", "put", f"w{me}", tree)
            shutil.rmtree(f"{self.top}/put{me}", ignore_errors=True)
            shutil.copytree(tree, f"{self.top}/put{me}")
            self.run("-q", "keep", "--last", "1", f"w{me}")
            if time.monotonic() > self.enough:
                return

    def kill_one(self, me, tree, rnd):
        p = subprocess.Popen(self.command("-q", "put", f"killed{me}", tree), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rnd.random() * 0.15)
        p.kill()
        self.kills += p.wait() != 0

    def collect(self):
        while not self.working.is_set():
            out = self.run("--json", "collect")
            if '"objects":' in out:
                self.collections += 1
                self.freed += int(out.split('"objects":')[1].split(",")[0])

    def finish(self):
        for me in range(WRITERS):
            shutil.rmtree(f"{self.top}/r", ignore_errors=True)
            self.run("-q", "get", f"w{me}", f"{self.top}/r")
            same = subprocess.run(["diff", "-r", f"{self.top}/put{me}", f"{self.top}/r"], check=False, stdout=subprocess.DEVNULL)
            if same.returncode:
                self.failures.append(f"w{me} is not what was put")
        self.run("check", "--data")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    seed = int(os.environ.get("COGNU_SEED", "5"))
    with tempfile.TemporaryDirectory(prefix="store-writers.") as top:
        with open(f"{top}/pass", "w", encoding="ascii") as f:
            f.write("secret\n")
        cell = Cell(top, seed, rounds)
        cell.run("-q", "init")
        writers = [threading.Thread(target=cell.write, args=(me,)) for me in range(WRITERS)]
        collector = threading.Thread(target=cell.collect)
        for t in (*writers, collector):
            t.start()
        for t in writers:
            t.join()
        cell.working.set()
        collector.join()
        cell.finish()
        for line in cell.failures:
            print("FAILED:", line)
        print(f"COGNU_SEED={seed}: {WRITERS} writers, {rounds} rounds each, {cell.kills} killed, {cell.collections} collections beside them "
              f"freed {cell.freed} objects")
        print(f"{0 if cell.failures else 1} passed, {min(1, len(cell.failures))} failed")
    return 1 if cell.failures else 0


if __name__ == "__main__":
    sys.exit(main())
