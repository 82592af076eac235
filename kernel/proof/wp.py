"""Runs Frama-C's WP on one C file of the kernel and reads what it says."""
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

from sources import BUILD, KERNEL

HERE = os.path.dirname(os.path.abspath(__file__))
# Undefined behaviour is an error, and so is arithmetic that wraps or cuts a value off.
OPTIONS = ["-wp", "-wp-rte", "-warn-unsigned-overflow", "-warn-unsigned-downcast"]
CPP = ["-I", os.path.join(BUILD, "kernel", "abi"), "-I", os.path.join(BUILD, "kernel"), "-std=c17"]
GOAL = re.compile(r"^\[wp\] \[([^\]]+)\] (?:\(\w+\) )?(?:Goal|Smoke-test) (?:typed_)?(\w+)(?: : (\w+))?")
# The provers get so many seconds of the processor's time; who waits for them waits longer (see the scripts z3 and cvc4).
PATIENCE = 10
# Z3 proves 99 of 100 goals that it proves at all within so many of its own steps, a quarter of a second. What it does not,
# CVC4 mostly proves as soon, and only then may Z3 try as long as the goal is given: ALL. Of three provers Frama-C starts
# the third now and then while the second ends well, and then waits for it: SOON leaves that last try to a later run.
# A smoke test that passes costs all that it is given, and a contradiction is a proof like others: it gets the quick try
# only, of the others less than a second.
QUICK = 500_000
ALL, SOON = "z3-quick,cvc4,z3", "z3-quick,cvc4"
SMOKE = PATIENCE // 2
QUICK_PROVER = """
[prover]
name = "Z3"
alternative = "quick"
version = "{version}"
driver = "z3_471"
command = "{here}/z3 rlimit={steps} sat.random_seed=42 nlsat.randomize=false smt.random_seed=42 -smt2 -st %f"
in_place = false
interactive = false

[shortcut]
name = "Z3"
alternative = "quick"
version = "{version}"
shortcut = "z3-quick"
"""
DETECTION = threading.Lock()
TIMES = re.compile(r"\((?:Qed:)?([\d.]+)(ms|s)\)")


class Tally:
    """What came out for one function: goals, those that are Valid, smoke tests that found a contradiction."""

    def __init__(self):
        self.goals = self.valid = self.smokes = self.contradictions = 0
        self.seconds = 0.0

    def proved(self):
        return self.goals > 0 and self.valid == self.goals and not self.contradictions


class Result:
    """Tallies by function ("" holds the lemmas), names of goals that failed, warnings, seconds of the processor's time."""

    def __init__(self):
        self.functions, self.failed, self.warnings, self.seconds = {}, [], [], 0.0


def version():
    lines = []
    for command in (["frama-c", "-version"], ["z3", "--version"], ["cvc4", "--version"]):
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        lines.append(out.strip().splitlines()[0])
    return ", ".join([f"Frama-C {lines[0]}", *lines[1:]])


@functools.cache
def provers():
    """A folder with the file in which Why3 finds the provers: those that it detects, by way of the scripts here, and
    the quick try. It lives as long as this program."""
    folder = tempfile.TemporaryDirectory(prefix="cognu-why3-")
    path = os.path.join(folder.name, "why3.conf")
    subprocess.run(["why3", "config", "detect", "-C", path], check=True, capture_output=True)
    with open(path, encoding="utf-8") as f:
        text = re.sub(r'path = ".*/(z3|cvc4)"', rf'path = "{HERE}/\1"', f.read())
    z3 = re.search(r'name = "Z3"\n.*\nversion = "(.*)"', text).group(1)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + QUICK_PROVER.format(version=z3, here=HERE, steps=QUICK))
    return folder


def environment(cwd):
    """Frama-C believes PWD, not the folder that it was started in."""
    with DETECTION:
        folder = provers().name
    return {**os.environ, "PWD": cwd, "WHY3CONFIG": os.path.join(folder, "why3.conf")}


def command(path, extra, folder=KERNEL):
    cpp = " ".join(["-I", folder, *CPP])
    return ["nice", "-n", "15", "frama-c", "-c11", f"-cpp-extra-args={cpp}", *extra, path]


def contracts(path):
    """Names with a contract in this file's translation unit, and those that have a body: (set, set)."""
    out = subprocess.run(command(path, ["-print", "-kernel-verbose", "0"]), capture_output=True, text=True,
                         cwd=KERNEL, env=environment(KERNEL))
    if out.returncode:
        raise SystemExit(f"prove: Frama-C does not take {path}:\n{out.stdout}{out.stderr}")
    text = re.sub(r"/\*@ ghost\b", "", out.stdout).replace("/@", "/*@").replace("@/", "*/")
    with_contract = {}
    for match in re.finditer(r"/\*@((?:(?!\*/).)*)\*/\s*([\w \n\t\*]+?[\s\*](\w+)\([^;{]*\)\s*[;{])", text, re.S):
        clauses = set(re.findall(r"(?<!loop )\b(requires|ensures|assigns)\b", match.group(1)))
        if clauses and not re.match(r"\s*(return|else|goto)\b", match.group(2)):
            with_contract.setdefault(match.group(3), set()).update(clauses)
    bodies = set(re.findall(r"^\s*[a-z_][\w \t\*]*?[\s\*](\w+)\([^;{}]*\)\s*\{", text, re.M))
    return with_contract, bodies


def read_line(line, result, times):
    """Keeps what a line says; True when it says that a goal is not Valid."""
    match = GOAL.match(line)
    if not match:
        if "arning:" in line and "Failed smoke-test" not in line or re.match(r"\[[\w:-]+\].*\b[Ee]rror\b", line):
            result.warnings.append(line.strip())
        return False
    prover, name, verdict = match.groups()
    times[name] = sum(float(n) / (1000 if unit == "ms" else 1) for n, unit in TIMES.findall(line))
    if prover == "Passed" or verdict == "Valid":
        return False
    if name not in result.failed:
        result.failed.append(name)
    return True


def read_report(path, result, times):
    with open(path, encoding="utf-8") as f:
        report = json.load(f)
    sections = list(report.get("wp:functions", {}).items())
    sections += [("", goals) for goals in report.get("wp:axiomatics", {}).values()]
    for function, goals in sections:
        tally = result.functions.setdefault(function, Tally())
        for name, counts in goals.items():
            total, valid = counts["wp:main"]["total"], counts["wp:main"].get("valid", 0)
            if name == "wp:section":
                continue
            if "_wp_smoke_" in name:
                tally.smokes += total
                tally.contradictions += total - valid
                continue
            tally.goals += total
            tally.valid += valid
            parts = [name] + [f"{name}_part{n}" for n in range(1, total + 1)]
            tally.seconds += sum(times.get(part, 0) for part in parts)


def follow(child, result, times, stop):
    """Reads what the prover says to its end, or with stop to the first goal that is not Valid: then it is ended."""
    last = ""
    try:
        for line in child.stdout:
            if line.startswith("  ") and re.search(r"(arning|rror):\s*$", last) and result.warnings:
                result.warnings[-1] += " " + line.strip()
            last = line
            if read_line(line, result, times) and stop:
                return True
        return False
    finally:
        if stop or sys.exc_info()[0]:
            os.killpg(child.pid, signal.SIGKILL)  # not waited for yet, so its id is its own
        child.stdout.close()


def prove(path, functions=(), props=None, timeout=10, smoke=False, cache=None, par=2, stop=False, kernel=KERNEL,
          by=ALL):
    """Proves a file, or some of its functions. With stop, ends at the first goal that is not Valid."""
    result, times = Result(), {}
    with tempfile.TemporaryDirectory(prefix="cognu-prove-") as folder:
        report = os.path.join(folder, "report.json")
        extra = [*OPTIONS, "-wp-prover", by, "-wp-timeout", str(PATIENCE * timeout), "-wp-par", str(par)]
        extra += ["-wp-report-json", report, "-wp-session", os.path.join(folder, "session")]
        if smoke:
            extra += ["-wp-smoke-tests", "-wp-smoke-timeout", str(SMOKE)]
        if functions:
            extra += ["-wp-fct", ",".join(functions)]
        if props:
            extra += ["-wp-prop", props]
        extra += ["-wp-cache", "update", "-wp-cache-dir", cache] if cache else ["-wp-cache", "none"]
        child = subprocess.Popen(command(path, extra, kernel), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 text=True, cwd=kernel, env=environment(kernel), start_new_session=True)
        ended_early = follow(child, result, times, stop)
        _, status, usage = os.wait4(child.pid, 0)
        code = child.returncode = os.waitstatus_to_exitcode(status)
        result.seconds = usage.ru_utime + usage.ru_stime
        if ended_early:
            return result
        if code or not os.path.exists(report):
            result.warnings.append(f"frama-c ended with {code}")
        else:
            read_report(report, result, times)
    return result
