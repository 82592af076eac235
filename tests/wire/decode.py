#!/usr/bin/env python3
"""decode: a second decoder of 9P-NG, 9P2000.L and 9P2000, written from docs/9p-ng.md alone.

    decode.py DOC show DIALECT HEX     prints the fields of one frame; DIALECT is NG, L or P
    decode.py DOC check VECTORS...     compares with vectors (README.md tells their form), damages
                                       each in every place and sees to it that it is refused

Its grammar is the document's tables, read as they stand there; only the basic types of section 2
and the layout of section 3 are written here. It shares nothing with the C codec or its generator:
where the two agree, the document is complete and true.
"""

import re
import struct
import sys

DIALECTS = {"9P-NG": "NG", "9P2000.L": "L", "9P2000": "P"}
NUMBERS = {"u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q", "i64": "<q"}
RAW = {"id16": 16, "key32": 32}
SHARED = (100, 101)  # Tversion and Rversion, in all dialects


class Malformed(Exception):
    """The frame breaks the protocol."""


class Document:
    """The tables of the document."""

    def __init__(self, text):
        self.structs, self.messages, self.constants = {}, {}, {}
        body = None
        dialect = None
        for line in text.split("\n"):
            if found := re.fullmatch(r"\*\*structure (\w+)\*\*", line):
                body = self.structs.setdefault(found[1], [])
            elif found := re.fullmatch(r"\*\*message (\w+)\*\*, (\S+), number (\d+), .*", line):
                body = []
                self.messages[DIALECTS[found[2]], int(found[3])] = (found[1], body)
            elif found := re.fullmatch(r"\*\*messages of (\S+)\*\*", line):
                dialect = DIALECTS[found[1]]
            elif line == "<!-- end -->":
                body = dialect = None
            elif line.startswith("|"):
                cells = [c.strip() for c in line.strip("|").split("|")]
                self.row(cells, body, dialect)

    def row(self, cells, body, dialect):
        field = re.fullmatch(r"`(\w+)`", cells[0])
        if dialect and cells[0].isdigit():
            fields = re.findall(r"`(\w+)` ((?:list )?\w+)", cells[3])
            self.messages[dialect, int(cells[0])] = (cells[1], fields)
        elif field and body is not None:
            body.append((field[1], cells[1]))
        elif field and body is None and not dialect:
            self.constants.setdefault(field[1], int(cells[1], 0))


class Reader:
    """Section 2: the basic types. Collects (path, value)."""

    def __init__(self, doc, data):
        self.doc, self.data, self.at, self.out = doc, data, 0, []

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Malformed("ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, kind):
        form = NUMBERS[kind]
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self, path, kind):
        if kind in NUMBERS:
            self.out.append((path, str(self.number(kind))))
        elif kind in RAW:
            self.bytes(path, RAW[kind])
        elif kind in ("str", "blob"):
            self.bytes(path, self.number("u16" if kind == "str" else "u32"))
        elif kind == "names" or kind.startswith("list "):
            count = self.number("u16")
            if kind == "names" and count > self.doc.constants["WALK_NAMES_MAX"]:
                raise Malformed("too many names")
            self.out.append((path, str(count)))
            for i in range(count):
                self.value(f"{path}.{i}", "str" if kind == "names" else kind[5:])
        else:
            self.fields(path, self.doc.structs[kind])

    def bytes(self, path, count):
        self.out.append((path, "x" + self.take(count).hex()))

    def fields(self, path, fields):
        for name, kind in fields:
            self.value(f"{path}.{name}", kind)


def decode(doc, dialect, frame):
    """Section 3: header, tail, body. Gives (message's name, [(path, value)])."""
    if len(frame) < 7:
        raise Malformed("shorter than any header")
    size, number = struct.unpack_from("<IB", frame)
    if size != len(frame):
        raise Malformed("size is not the frame's length")
    key = ("P", number) if number in SHARED else (dialect, number)
    if key not in doc.messages and dialect == "L":
        key = ("P", number)
    if key not in doc.messages:
        raise Malformed(f"unknown message {number}")
    name, fields = doc.messages[key]
    head = "phead" if key[0] != "NG" else "thead" if name[0] == "T" else "rhead"
    r = Reader(doc, frame)
    r.fields("head", doc.structs[head])
    if key[0] == "NG":
        read_tail(r, int(dict(r.out)["head.tail"]))
    r.fields("body", fields)
    if r.at != len(frame):
        raise Malformed("bytes left over")
    return name, r.out


def read_tail(r, size):
    tail = Reader(r.doc, r.take(size))
    i = 0
    while tail.at < size:
        tail.fields(f"item.{i}", r.doc.structs["tailitem"])
        i += 1
    r.out += tail.out


def decode_struct(doc, name, data):
    if name not in doc.structs:
        raise Malformed(f"unknown structure {name}")
    r = Reader(doc, data)
    r.fields("body", doc.structs[name])
    if r.at != len(data):
        raise Malformed("bytes left over")
    return name, r.out


def vectors(path):
    """Gives (dialect, name, bytes, [(path, value)]); the dialect of a structure is empty."""
    with open(path, encoding="ascii") as f:
        blocks = f.read().split("\n\n")
    for block in blocks:
        lines = [x.split(" ") for x in block.split("\n") if x and not x.startswith("#")]
        if not lines:
            continue
        dialect = lines[0][1] if lines[0][0] == "message" else ""
        yield dialect, lines[0][-1], bytes.fromhex(lines[1][1]), [(p, v) for p, v in lines[2:]]


def resized(frame):
    return struct.pack("<I", len(frame)) + frame[4:]


def damaged(data, is_frame):
    """Each way to cut it short, or to add a byte; of frames also with a size that fits."""
    for n in range(len(data)):
        yield data[:n]
        if is_frame and n >= 4:
            yield resized(data[:n])
    for byte in (b"\0", b"\xff"):
        yield data + byte
        if is_frame:
            yield resized(data + byte)


def problem_of(doc, dialect, name, data, expected):
    """What is wrong with one vector, or an empty text."""
    def run(some):
        return decode(doc, dialect, some) if dialect else decode_struct(doc, name, some)

    try:
        got = run(data)
    except Malformed as e:
        return f"refused: {e}"
    if got != (name, expected):
        differ = [x for x in zip(got[1], expected) if x[0] != x[1]] or "number of fields"
        return f"decoded {got[0]}, differs: {differ}"
    for bad in damaged(data, bool(dialect)):
        try:
            run(bad)
            return f"takes the damaged {bad.hex()}"
        except Malformed:
            pass
    return ""


def check(doc, path):
    passed = failed = 0
    seen = set()
    for dialect, name, data, expected in vectors(path):
        problem = problem_of(doc, dialect, name, data, expected)
        seen.add((dialect, data[4]) if dialect else name)
        passed, failed = passed + (not problem), failed + bool(problem)
        if problem:
            print(f"{dialect} {name} {data.hex()}\n    {problem}")
    for key in (doc.messages.keys() | doc.structs.keys()) - seen:
        print(f"{path}: no vector for {key}")
        failed += 1
    print(f"{passed} passed, {failed} failed")
    return failed == 0 and passed > 0


def main(argv):
    if len(argv) < 4 or argv[2] not in ("show", "check"):
        print(__doc__, file=sys.stderr)
        return 2
    with open(argv[1], encoding="utf-8") as f:
        doc = Document(f.read())
    if argv[2] == "check":
        return 0 if all([check(doc, path) for path in argv[3:]]) else 1
    try:
        name, fields = decode(doc, argv[3], bytes.fromhex(argv[4]))
    except Malformed as e:
        print(f"malformed: {e}", file=sys.stderr)
        return 1
    print(name)
    for path, value in fields:
        print(f"    {path} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
