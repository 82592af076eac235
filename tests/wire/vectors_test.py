#!/usr/bin/env python3
"""Compares the C encoder, the committed vectors and the second decoder.

    vectors_test.py WIRE_VECTORS       the program that was built from wire_vectors.c

1. WIRE_VECTORS still gives the committed vectors.txt: the wire format has not changed unnoticed.
2. The second decoder agrees with the committed ones, and with fresh ones (COGNU_SEED replays them),
   and refuses all damaged ones.
"""

import os
import random
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COMMITTED = os.path.join(HERE, "vectors.txt")


def make(program, seed):
    command = [program, "--seed", str(seed)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    program = sys.argv[1]
    with open(COMMITTED, encoding="ascii") as f:
        same = f.read() == make(program, 1)
    if not same:
        print(f"the wire format has changed; if that is meant: {program} --seed 1 >{COMMITTED}")
    seed = int(os.environ.get("COGNU_SEED") or str(random.randrange(1 << 32)), 0)
    print(f"COGNU_SEED={seed}")
    with tempfile.TemporaryDirectory() as folder:
        fresh = os.path.join(folder, "fresh.txt")
        with open(fresh, "w", encoding="ascii") as f:
            f.write(make(program, seed))
        decoder, doc = os.path.join(HERE, "decode.py"), os.path.join(ROOT, "docs/9p-ng.md")
        command = [sys.executable, decoder, doc, "check", COMMITTED, fresh]
        agrees = subprocess.run(command, check=False).returncode == 0
    return 0 if same and agrees else 1


if __name__ == "__main__":
    sys.exit(main())
