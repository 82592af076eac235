#!/usr/bin/env python3
"""Checks docs/features.md: its rows are all there, and the tests that it names exist, and passed.

usage: features.py --check [--build DIR]       rows and states are well formed; with a build, the named tests exist
       features.py --results FILE... [--build DIR]   also: each named test is in these JUnit files, and passed
"""
import argparse
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

ROWS = [str(i) for i in range(1, 85)] + [f"U{i}" for i in range(1, 16)]
STATES = ("works", "partly", "not yet")


def rows(text):
    """(id, how, tests, state) of each row."""
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
        if re.fullmatch(r"U?\d+", cells[0]) and len(cells) >= 5:
            yield cells[0], cells[-3], [t.strip("` ") for t in cells[-2].split(",")], cells[-1]


def known_tests(build):
    """What CTest lists, and the claims of the tour."""
    out = subprocess.run(["ctest", "--test-dir", build, "-N"], capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"Test\s+#\d+: (\S+)", out))
    with open("tests/tour", encoding="utf-8") as f:
        claims = re.findall(r"^claim (\S+)", f.read(), re.M)
    return names | {f"tour:{c}" for c in claims}


def passed_tests(files):
    """Names of the tests that passed, by JUnit files; the tour's claims pass when the tour does."""
    good = set()
    for file in files:
        for case in xml.parse(file).getroot().iter("testcase"):
            if case.get("status") == "run" and case.find("failure") is None:
                good.add(case.get("name"))
    return good


def problems(args):
    with open("docs/features.md", encoding="utf-8") as f:
        table = list(rows(f.read()))
    seen = [r[0] for r in table]
    for row in ROWS:
        if seen.count(row) != 1:
            yield f"row {row} stands {seen.count(row)} times"
    known = known_tests(args.build) if args.build else None
    passed = passed_tests(args.results) if args.results else None
    for row, how, tests, state in table:
        if state not in STATES:
            yield f"row {row}: '{state}' is no state"
        if state == "not yet":
            continue
        if how == "-" or tests == ["-"]:
            yield f"row {row}: {state}, but how or the test is missing"
        for test in tests:
            if known is not None and test not in known:
                yield f"row {row}: no test {test}"
            if passed is not None and (test.split(":")[0] if test.startswith("tour:") else test) not in passed:
                yield f"row {row}: {test} did not pass in this run"


def main():
    parser = argparse.ArgumentParser(description="checks docs/features.md")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--build")
    parser.add_argument("--results", nargs="*", default=[])
    args = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    found = list(problems(args))
    for line in found:
        print(line)
    print(f"features: {len(ROWS)} rows, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
