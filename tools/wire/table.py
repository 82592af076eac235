"""The wire table, read and checked. Its own first comment describes its language."""

import re

MADE = "Made by tools/wiregen.py from lib/ninep/wire.table: do not edit."
INTS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i64": 8}
RAW = {"id16": 16, "key32": 32}
SCALARS = {**INTS, **RAW}
VARYING = {"str": 2, "blob": 4}
DIALECTS = ("P", "L", "NG")
CLASSES = ("idem", "once", "control", "reply")
# Spoken before the dialect is settled, hence without a dialect's prefix.
SHARED = ("Tversion", "Rversion")
C_KEYWORDS = set("""auto break case char const continue default do double else enum extern float
    for goto if inline int long register restrict return short signed sizeof static struct switch
    typedef union unsigned void volatile while""".split())


class TableError(Exception):
    """What is wrong with the table, and in which line."""


def fail(line, text):
    raise TableError(f"line {line}: {text}" if line else text)


class Field:
    def __init__(self, name, kind, of, meaning, line):
        self.name, self.kind, self.of = name, kind, of
        self.meaning, self.line = meaning, line

    @property
    def c(self):
        return self.name + "_" if self.name in C_KEYWORDS else self.name

    @property
    def type(self):
        return {"list": f"list {self.of}", "struct": self.of}.get(self.kind, self.kind)


class Block:
    """A const, flags, enum, struct or message, with its members."""

    def __init__(self, kind, name, line):
        self.kind, self.name, self.line = kind, name, line
        self.members = []  # Field, or (NAME, VALUE TEXT, MEANING)
        self.number = self.dialect = self.cls = None
        self.value = self.meaning = None

    @property
    def short(self):
        """A message's name without its dialect."""
        return self.name.split(".")[-1]

    @property
    def c(self):
        return self.name.replace(".", "_").lower()

    @property
    def C(self):
        return self.c.upper()


class Table:
    def __init__(self, text):
        self.blocks = []
        self.names = {}
        for number, raw in enumerate(text.split("\n"), 1):
            self.read_line(number, raw)
        self.structs = {b.name: b for b in self.of("struct")}
        self.resolve()
        self.check_messages()

    def of(self, kind):
        return [b for b in self.blocks if b.kind == kind]

    def messages(self, *dialects):
        return [b for b in self.of("message") if b.dialect in dialects]

    def read_line(self, line, raw):
        if raw.startswith("#") or not raw.strip():
            return
        if "\t" in raw:
            fail(line, "a tab: the table is aligned with blanks")
        words = raw.split()
        if raw[0] == " ":
            if not self.blocks or self.blocks[-1].kind == "const":
                fail(line, "a member outside of a block")
            self.read_member(self.blocks[-1], line, words)
        else:
            self.read_block(line, words)

    def read_block(self, line, words):
        kind = words[0]
        counts = {"const": (3, 99), "flags": (2, 2), "enum": (2, 2), "struct": (2, 2),
                  "message": (5, 5)}
        if kind not in counts:
            fail(line, f"unknown block {kind}")
        low, high = counts[kind]
        if not low <= len(words) <= high:
            fail(line, f"{kind} takes {low - 1} words")
        block = Block(kind, words[1], line)
        shape = {"const": r"[A-Z][A-Z0-9_]*", "message": r"(P\.|L\.)?[TR][a-z]+"}
        if not re.fullmatch(shape.get(kind, r"[a-z][a-z0-9_]*"), block.name):
            fail(line, f"{block.name} is no name of a {kind}")
        key = ("type" if kind in ("struct", "message") else kind, block.c)
        if key in self.names:
            fail(line, f"{block.name} is already declared in line {self.names[key]}")
        self.names[key] = line
        if kind == "const":
            block.value, block.meaning = words[2], " ".join(words[3:])
            self.value_of(line, block.value)
        if kind == "message":
            self.read_message(block, words)
        self.blocks.append(block)

    def read_message(self, block, words):
        line = block.line
        block.number = self.value_of(line, words[2])
        block.dialect, block.cls = words[3], words[4]
        if block.number > 255:
            fail(line, f"message number {block.number} does not fit one byte")
        if block.dialect not in DIALECTS:
            fail(line, f"unknown dialect {block.dialect}")
        if block.cls not in CLASSES:
            fail(line, f"unknown class {block.cls}")
        prefix = "" if block.dialect == "NG" or block.name in SHARED else block.dialect + "."
        if block.name != prefix + block.short:
            fail(line, f"a message of {block.dialect} is called {prefix}{block.short}")
        reply = block.short[0] == "R"
        if reply != (block.cls == "reply"):
            fail(line, "class reply is for R messages, and for all of them")
        if reply != bool(block.number % 2):
            fail(line, "requests have even numbers, replies odd ones")

    @staticmethod
    def value_of(line, text):
        if not re.fullmatch(r"0x[0-9a-f]+|[0-9]+", text):
            fail(line, f"{text} is no number")
        value = int(text, 0)
        if value > 0xFFFFFFFF:
            fail(line, f"{text} does not fit 32 bits")
        return value

    def read_member(self, block, line, words):
        if block.kind in ("flags", "enum"):
            if len(words) < 2 or not re.fullmatch(r"[A-Z][A-Z0-9_]*", words[0]):
                fail(line, "needs: NAME VALUE meaning")
            value = self.value_of(line, words[1])
            for name, other, _ in block.members:
                if name == words[0] or int(other, 0) == value:
                    fail(line, f"{words[0]} {words[1]} repeats {name} {other}")
            block.members.append((words[0], words[1], " ".join(words[2:])))
            return
        if len(words) < 2 or not re.fullmatch(r"[a-z][a-z0-9_]*", words[0]):
            fail(line, "needs: field type meaning")
        if words[0] in [f.name for f in block.members]:
            fail(line, f"field {words[0]} is there twice")
        kind, of, rest = words[1], None, words[2:]
        if kind == "list":
            if not rest:
                fail(line, "list needs the name of a structure")
            of, rest = rest[0], rest[1:]
        elif kind not in SCALARS and kind not in VARYING and kind != "names":
            kind, of = "struct", words[1]
        block.members.append(Field(words[0], kind, of, " ".join(rest), line))

    def resolve(self):
        for block in self.of("struct") + self.of("message"):
            for i, field in enumerate(block.members):
                if field.of is not None and field.of not in self.structs:
                    fail(field.line, f"unknown type {field.of}")
                if block.kind == "struct" and field.kind in ("list", "names"):
                    fail(field.line, "a structure holds no lists: nesting must end somewhere")
                if block.kind == "message" and field.kind == "blob" and i + 1 < len(block.members):
                    fail(field.line, f"{field.name} is a payload and must be the last field")
            if block.kind == "struct" and not block.members:
                fail(block.line, f"structure {block.name} is empty")
        self.order = []
        for block in self.structs.values():
            self.place(block, [])

    def place(self, block, above):
        """Orders structures so that each follows those that it holds."""
        if block.name in above:
            fail(block.line, f"structure {block.name} holds itself")
        if block in self.order:
            return
        for field in block.members:
            if field.kind == "struct":
                self.place(self.structs[field.of], above + [block.name])
        self.order.append(block)

    def check_messages(self):
        seen = {}
        for m in self.of("message"):
            for other in DIALECTS if m.dialect == "NG" else (m.dialect, "NG"):
                if (other, m.number) in seen:
                    fail(m.line, f"number {m.number} is already {seen[other, m.number].name}")
            seen[m.dialect, m.number] = m
        for (dialect, number), m in seen.items():
            under = seen.get(("P", number)) if dialect == "L" else None
            if under and (under.short, under.cls) != (m.short, m.cls):
                fail(m.line, f"{m.name} differs from {under.name} in name or class")
            if m.short[0] == "T":
                reply = seen.get((dialect, number + 1))
                if not reply and dialect == "L":
                    reply = seen.get(("P", number + 1))
                if not reply or reply.short != "R" + m.short[1:]:
                    fail(m.line, f"{m.name} {number} lacks its reply R{m.short[1:]} {number + 1}")

    def fixed_bytes(self, field):
        """The size of a field, or None when it varies."""
        if field.kind in SCALARS:
            return SCALARS[field.kind]
        if field.kind == "struct":
            return self.struct_bytes(self.structs[field.of])
        return None

    def struct_bytes(self, block):
        sizes = [self.fixed_bytes(f) for f in block.members]
        return None if None in sizes else sum(sizes)

    def payload_at(self, message):
        """Where in the body the bytes of a last blob or list begin, when that is constant."""
        if not message.members or message.members[-1].kind not in ("blob", "list"):
            return None
        sizes = [self.fixed_bytes(f) for f in message.members[:-1]]
        if None in sizes:
            return None
        return sum(sizes) + (4 if message.members[-1].kind == "blob" else 2)
