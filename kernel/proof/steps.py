#!/usr/bin/env python3
"""How many steps each entry of the kernel takes at most (theorem 5): the worst case, multiplied along the call tree.

A step is a statement or a condition; `&&`, `||` and `?:` count for each of their parts, and so does a call. A loop's head
says its bound (k < CONSTANT, k counted from a constant), or kernel/proof/bounds states it with the reason. No function of
the kernel is called through a pointer and none is recursive (a cycle is a complaint), so the sum is finite and exact but
for its pessimism: each branch is taken to be the longer one, each loop to go on to its end.
"""
import os
import re
import subprocess

import sources

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRIES = {"entry_syscall": "STEPS_SYSCALL", "entry_fault": "STEPS_FAULT", "entry_interrupt": "STEPS_INTERRUPT",
           "entry_timer": "STEPS_TIMER"}
TOKEN = re.compile(r"\s+|0[xX][0-9a-fA-F]+\w*|\w+|<<=|>>=|[-+*/%&|^=!<>]=|&&|\|\||\+\+|--|<<|>>|.", re.S)
NEVER = -1  # cost of a way out that is not taken


def constants():
    """Values of the release build's constants, by name."""
    headers = [p for p in sources.files() if p.endswith(".h")]
    include = "".join(f'#include "{h}"\n' for h in ["config.h", "arch/arch.h", *headers])
    include += "".join(line + "\n" for path in sources.files() if path.endswith(".c")
                       for line in re.findall(r"^#define \w+ +[^(\n\\]+$", sources.bare(sources.read(path)), re.M))
    out = subprocess.run(["cpp", "-dM", "-I", sources.KERNEL, "-I", os.path.join(sources.BUILD, "kernel"), "-I",
                          os.path.join(sources.BUILD, "kernel", "abi"), "-"],
                         input=include, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^#define (\w+) (.+)$", out, re.M))


class Constants:
    def __init__(self):
        self.text = constants()

    def value(self, expression, depth=0):
        """The value of an expression of constants; None when it is not one."""
        text = re.sub(r"\b(0[xX][0-9a-fA-F]+|\d+)[uUlL]*\b", r"\1", expression)
        for name in set(re.findall(r"\b[A-Za-z_]\w*", text)):
            inner = self.value(self.text[name], depth + 1) if name in self.text and depth < 20 else None
            if inner is None:
                return None
            text = re.sub(rf"\b{name}\b", str(inner), text)
        if not re.fullmatch(r"[\s\w()+*/<>-]+", text):
            return None
        try:
            return int(eval(text.replace("/", "//"), {"__builtins__": {}}))  # numbers and operators only
        except (SyntaxError, ZeroDivisionError):
            return None


class Bounds:
    """What kernel/proof/bounds states: loops, how often a callee is called at most, steps of functions of arch/."""

    def __init__(self, constant):
        self.loops, self.most, self.arch, self.used = {}, {}, {}, set()
        with open(os.path.join(HERE, "bounds"), encoding="utf-8") as f:
            for line in f:
                what, _, why = line.strip().partition(" -- ")
                if line.startswith("#") or not what:
                    continue
                kind, name, text = what.split(None, 2)
                count, _, rest = text.partition(" ")
                value = constant.value(count)
                if value is None or not why or kind not in ("loop", "most", "arch"):
                    raise SystemExit(f"steps: kernel/proof/bounds: {line.strip()}: no bound, or no reason")
                {"loop": self.loops, "most": self.most, "arch": self.arch}[kind][(name, rest)] = value

    def find(self, table, key):
        self.used.add(key)
        return table.get(key)

    def unused(self):
        return sorted(set([*self.loops, *self.most, *self.arch]) - self.used)


class Cost:
    """Steps to each way out of a statement: its end, a break, a return."""

    def __init__(self, fall=0, stop=NEVER, leave=NEVER):
        self.fall, self.stop, self.leave = fall, stop, leave

    def then(self, other):
        def after(steps):
            return NEVER if self.fall == NEVER or steps == NEVER else self.fall + steps
        return Cost(after(other.fall), max(self.stop, after(other.stop)), max(self.leave, after(other.leave)))

    def either(self, other):
        return Cost(max(self.fall, other.fall), max(self.stop, other.stop), max(self.leave, other.leave))

    def most(self):
        return max(self.fall, self.stop, self.leave)


class Reader:
    """Reads the body of one function."""

    def __init__(self, function, analysis, free):
        code = sources.bare(sources.read(function.path))[function.body:function.end]
        code = re.sub(r"^[ \t]*#.*$", "", code, flags=re.M)
        self.tokens = [t for t in TOKEN.findall(code) if not t.isspace()]
        self.at, self.function, self.analysis, self.free = 0, function, analysis, free

    def peek(self):
        return self.tokens[self.at]

    def take(self, wanted=None):
        token = self.tokens[self.at]
        if wanted and token != wanted:
            raise SystemExit(f"steps: {self.function.key}: '{wanted}' expected before '{' '.join(self.tokens[self.at:self.at + 6])}'")
        self.at += 1
        return token

    def until(self, ends):
        """Tokens up to one of ends on this level of parentheses, which is taken too."""
        found, depth = [], 0
        while depth > 0 or self.peek() not in ends:
            token = self.take()
            depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(token, 0)
            found.append(token)
        self.take()
        return found

    def expression(self, tokens):
        """Steps of an expression, and of what it calls."""
        if not tokens:
            return 0
        steps = 1 + sum(t in ("&&", "||", "?") for t in tokens)
        for name, after in zip(tokens, tokens[1:]):
            if after == "(" and re.fullmatch(r"[a-z_]\w*", name) and name not in ("sizeof", "void"):
                steps += 1 + self.analysis.steps(name, self.function.path, self.free)
        return steps

    def condition(self):
        self.take("(")
        return self.until(")")

    def statement(self):
        token = self.peek()
        if token == "{":
            return self.block()
        if token == "if":
            return self.choice()
        if token in ("for", "while"):
            return self.loop()
        if token == "switch":
            return self.switch()
        self.take()
        if token == ";":
            return Cost()
        if token in ("do", "goto", "continue"):
            raise SystemExit(f"steps: {self.function.key}: {token}")
        if token == "return":
            return Cost(NEVER, NEVER, 1 + self.expression(self.until(";")))
        if token == "break":
            self.take(";")
            return Cost(NEVER, 1)
        return Cost(self.expression([token, *self.until(";")]))

    def block(self):
        self.take("{")
        cost = Cost()
        while self.peek() != "}":
            cost = cost.then(self.statement())
        self.take()
        return cost

    def choice(self):
        self.take("if")
        cost = Cost(self.expression(self.condition()))
        one, other = self.statement(), Cost()
        if self.peek() == "else":
            self.take()
            other = self.statement()
        return cost.then(one.either(other))

    def switch(self):
        self.take("switch")
        cost = Cost(self.expression(self.condition()))
        self.take("{")
        ways, whole = [Cost()], []
        while self.peek() != "}":
            if self.peek() in ("case", "default"):
                self.until(":")
                whole.append([])
            else:
                part = self.statement()
                for way in whole:
                    way.append(part)
        self.take()
        for parts in whole:
            way = Cost()
            for part in parts:
                way = way.then(part)
            ways.append(way)
        worst = ways[0]
        for way in ways[1:]:
            worst = worst.either(way)
        return cost.then(Cost(max(worst.fall, worst.stop), NEVER, worst.leave))

    def loop(self):
        start, step = [], []
        if self.take() == "for":
            self.take("(")
            start, condition, step = self.until(";"), self.until(";"), self.until(")")
        else:
            condition = self.condition()
        times = self.analysis.times(self.function, start, condition, step)
        head = Cost(self.expression(condition))
        body = head.then(self.statement())
        whole = Cost(self.expression(start))
        if body.fall != NEVER:
            whole = whole.then(Cost((times - 1) * (body.fall + self.expression(step))))
            last = body.then(Cost(self.expression(step))).then(head)
        else:
            last = head
        return whole.then(Cost(max(last.fall, body.stop), NEVER, body.leave))


class Analysis:
    def __init__(self):
        self.constant = Constants()
        self.bounds = Bounds(self.constant)
        self.functions = {}
        for function in sources.functions():
            self.functions.setdefault(function.name, []).append(function)
        self.machine = sources.arch_names()
        self.known, self.open = {}, []
        self.heads, self.stated = set(), set()

    def times(self, function, start, condition, step):
        """How often a loop's body is passed."""
        text = "".join(condition).replace("&&", " && ")
        first = re.fullmatch(r"uint32_t (\w+) = (.+)", " ".join(start))
        name = first.group(1) if first else None
        for part in " ".join(condition).split(" && "):
            limit = re.fullmatch(rf"{name} < (.+)", part)
            if name and limit and step == [name, "++"]:
                low, high = self.constant.value(first.group(2)), self.constant.value(limit.group(1))
                if low is not None and high is not None:
                    self.heads.add((function.key, text))
                    return max(1, high - low)
        bound = self.bounds.find(self.bounds.loops, (function.name, text))
        if bound is None:
            raise SystemExit(f"steps: {function.key}: no bound of the loop {text} in kernel/proof/bounds")
        self.stated.add((function.key, text))
        return max(1, bound)

    def called(self, name, path):
        """The function that a name means in a file: its own before those of others; None for a macro."""
        found = self.functions.get(name, [])
        return next((f for f in found if f.path == path), found[0] if found else None)

    def steps(self, name, path=None, free=frozenset()):
        """The most steps of one call from a file, without those of calls of the functions in free."""
        function = self.called(name, path)
        if name in free:
            return 0
        if function is None:
            machine = name in self.machine or name.startswith("arch_")
            return self.bounds.find(self.bounds.arch, (name, "")) or 1 if machine else 0
        key = (function.key, free)
        if key not in self.known:
            if function.key in self.open:
                raise SystemExit(f"steps: {name} calls itself: {' '.join(self.open)}")
            self.open.append(function.key)
            most = {callee: times for (caller, callee), times in self.bounds.most.items() if caller == name}
            self.bounds.used |= {(name, callee) for callee in most}
            total = Reader(function, self, free | set(most)).statement().most()
            total += sum(times * (1 + self.steps(callee, function.path, free)) for callee, times in most.items())
            self.open.pop()
            self.known[key] = total
        return self.known[key]


def report():
    """Prints the bound of each entry; complaints about those that are above what is promised."""
    analysis, complaints = Analysis(), []
    print("\nsteps at most, of one entry (kernel/proof/bounds, kernel/object/steps.h):")
    for entry, macro in ENTRIES.items():
        steps, promise = analysis.steps(entry), analysis.constant.value(macro)
        print(f"  {steps:8} {entry}, promised {promise}")
        if promise is None or steps > promise:
            complaints.append(f"{entry}: {steps} steps, more than {macro} promises ({promise})")
    print(f"  loops: {len(analysis.heads)} say their bound, {len(analysis.stated)} have it stated with the reason")
    complaints += [f"kernel/proof/bounds: {' '.join(key)}: nothing asks for it" for key in analysis.bounds.unused()]
    complaints += [f"kernel/proof/bounds: {callee}: no such function" for _, callee in analysis.bounds.most
                   if callee not in analysis.functions and callee not in analysis.machine]
    return analysis, complaints


def main():
    analysis, complaints = report()
    for (key, free), steps in sorted(analysis.known.items(), key=lambda item: -item[1]):
        print(f"{steps:8} {key}{' without ' + ', '.join(sorted(free)) if free else ''}")
    print("".join(f"steps: {c}\n" for c in complaints), end="")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
