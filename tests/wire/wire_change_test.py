#!/usr/bin/env python3
"""Tests of the generator: a change of the table changes all that depends on it; errors are found.

Each test takes a copy of lib/ninep/wire.table with one piece of text replaced.
"""

import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MADE = ("cognu/ninep_wire.h", "ninep_wire.c", "ninep_grammar.c", "ninep.dict")
HEADER, CODEC, GRAMMAR, _ = MADE
DOC = "9p-ng.md"

# What is replaced in the table, and which of the results must change.
CHANGES = (
    ("    names       names none: newf", "    path        names none: newf", (*MADE, DOC)),
    ("    eof         u32   1: the data", "    eof         u16   1: the data", (*MADE, DOC)),
    ("message Tread 140 NG idem", "message Tread 140 NG once", (HEADER, CODEC, GRAMMAR, DOC)),
    ("    EXCHANGE  0x2         exch", "    EXCHANGE  0x4         exch", (HEADER, DOC)),
    ("const NAME_BYTES_MAX    255", "const NAME_BYTES_MAX    254", (HEADER, DOC)),
)

# What is replaced in the table, and what the generator must say about the line that has changed.
ERRORS = (
    ("    target      str   for sym", "    target      string for sym", "unknown type string"),
    ("message Twalk 134 NG once", "message Twalk 136 NG once", "number 136"),
    ("message Twalk 134 NG once", "message Twalk 110 NG once", "number 110"),
    ("message Tstatfs 162 NG idem", "message Tstatfs 162 NG twice", "unknown class twice"),
    ("message Tstatfs 162 NG idem", "message Tstatfs 163 NG idem", "even numbers"),
    ("message Tstatfs 162 NG idem", "message Tstatfz 162 NG idem", "lacks its reply"),
    ("message L.Tlink 70 L once", "message L.Tlink 70 X once", "unknown dialect X"),
    ("message L.Tmkdir 72 L once", "message Tmkdir 72 L once", "is called L.Tmkdir"),
    ("message L.Tlink 70 L once", "message L.Tlink 270 L once", "one byte"),
    ("    data        blob  the whole", "    data        blob\n    more        u8", "last field"),
    ("    cookie      u64   give it", "    self        entry give it", "holds itself"),
    ("    cookie      u64   give it", "    all         list attr give it", "holds no lists"),
    ("    cookie      u64   give it", "    name        u64   give it", "there twice"),
    ("    cookie      u64   give it", "    Cookie      u64   give it", "needs: field type"),
    ("struct entry", "struct attr", "already declared"),
    ("struct entry", "union entry", "unknown block union"),
    ("    SHARED    0\n", "    SHARED    1\n", "repeats"),
    ("    SHARED    0\n", "    SHARED    zero\n", "no number"),
    ("const NOFID             0xffffffff", "const NOFID             0x1ffffffff", "32 bits"),
    ("const NOFID ", "\tconst NOFID ", "a tab"),
)


def generate(folder, table):
    """Runs the generator for a table; gives its messages on failure, and the results' texts."""
    path = os.path.join(folder, "wire.table")
    with open(path, "w", encoding="utf-8") as f:
        f.write(table)
    doc = os.path.join(folder, DOC)
    shutil.copy(os.path.join(ROOT, "docs", DOC), doc)
    command = [sys.executable, os.path.join(ROOT, "tools/wiregen.py"), path, "--out", folder,
               "--doc", doc, "--errors", os.path.join(ROOT, "include/cognu/errors.def")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr, {}
    results = {}
    for name in (*MADE, DOC):
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            results[name] = f.read()
    return "", results


def change(table, old, new):
    if table.count(old) != 1:
        raise SystemExit(f"the test is stale: the table does not hold once: {old}")
    return table.replace(old, new)


def test_change(table, before, old, new, expected):
    with tempfile.TemporaryDirectory() as folder:
        error, after = generate(folder, change(table, old, new))
    if error:
        return error
    changed = {name for name in after if after[name] != before[name]}
    return "" if changed == set(expected) else f"changed: {sorted(changed)}"


def test_error(table, old, new, expected):
    wrong = change(table, old, new)
    with tempfile.TemporaryDirectory() as folder:
        error, _ = generate(folder, wrong)
    if not error:
        return "the generator finds nothing wrong"
    if expected not in error or "line " not in error or "Traceback" in error:
        return f"the generator says: {error}"
    return ""


def main():
    with open(os.path.join(ROOT, "lib/ninep/wire.table"), encoding="utf-8") as f:
        table = f.read()
    with tempfile.TemporaryDirectory() as folder:
        error, before = generate(folder, table)
    if error:
        print(error)
        return 1
    passed = failed = 0
    cases = [(c, lambda c=c: test_change(table, before, *c)) for c in CHANGES]
    cases += [(c, lambda c=c: test_error(table, *c)) for c in ERRORS]
    for case, run in cases:
        problem = run()
        if problem:
            print(f"{case[0].strip()} -> {case[1].strip()}\n    {problem}")
        passed, failed = passed + (not problem), failed + bool(problem)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
