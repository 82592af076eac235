#!/usr/bin/env python3
"""abigen: makes everything that depends on the kernel's binary interface from kernel/abi/kernel.abi.

    abigen.py TABLE --out DIR
        writes DIR/abi.h (constants, for kernel and programs), DIR/abi_table.h (what decoding checks, and the same for the
        tests), DIR/abi_names.h (names, for tests) and DIR/stubs.h (one function an invocation, for programs)
    abigen.py TABLE --doc DOC [--check]
        renews the tables between the markers of the document; with --check it only compares them,
        with status 1 when the document is stale

The table is checked strictly: whatever is not understood is an error with its line number. Only the standard library is
used. The table's own first comment describes its language.
"""

import argparse
import os
import shlex
import sys

ARGS_MAX = 6
WORDS_MAX = 10
ARG_KINDS = ("word", "below", "cap", "opt")


class TableError(Exception):
    pass


class Table:
    """The parsed table: lists in the order of their numbers."""

    def __init__(self, path):
        self.limits, self.rights, self.types, self.kinds, self.errors = [], [], [], [], []
        self.calls, self.faults, self.roles, self.fields, self.invocations = [], [], [], [], []
        with open(path, encoding="utf-8") as f:
            for number, line in enumerate(f, 1):
                try:
                    words = shlex.split(line, comments=True)
                    if words:
                        self.line(words)
                except (TableError, ValueError, KeyError, StopIteration) as e:
                    raise TableError(f"{path}:{number}: {e}") from e

    def line(self, words):
        verb, *rest = words
        reader = getattr(self, "read_" + verb, None)
        if not reader:
            raise TableError(f"unknown word '{verb}'")
        try:
            reader(*rest)
        except TypeError as e:
            raise TableError(f"'{verb}' has the wrong number of words") from e

    def names(self, entries):
        return [e["name"] for e in entries]

    def add(self, entries, **entry):
        if entry["name"] in self.names(entries):
            raise TableError(f"{entry['name']} is declared twice")
        entries.append(entry)

    def mask(self, letters):
        if letters == "-":
            return 0
        order = [r["letter"] for r in self.rights]
        return sum(1 << order.index(letter) for letter in letters)

    def type_number(self, name):
        if name == "any":
            return 0
        if name not in self.names(self.types):
            raise TableError(f"no type {name}")
        return self.names(self.types).index(name) + 1

    def read_limit(self, name, value, meaning):
        self.add(self.limits, name=name, value=int(value), meaning=meaning)

    def read_right(self, letter, name, meaning):
        self.add(self.rights, name=name, letter=letter, meaning=meaning)

    def read_type(self, name, rights, meaning):
        self.add(self.types, name=name, rights=rights, mask=self.mask(rights), meaning=meaning)

    def read_kind(self, name, meaning):
        self.add(self.kinds, name=name, meaning=meaning)

    def read_error(self, name, meaning, cure):
        self.add(self.errors, name=name, meaning=meaning, cure=cure)

    def read_call(self, name, meaning):
        self.add(self.calls, name=name, meaning=meaning)

    def read_fault(self, name, meaning, *words):
        self.add(self.faults, name=name, meaning=meaning, words=words)

    def read_role(self, name, type_, rights, meaning):
        self.add(self.roles, name=name, type=type_, number=self.type_number(type_), rights=rights,
                 mask=self.mask(rights), meaning=meaning)

    def read_field(self, name, meaning):
        self.add(self.fields, name=name, meaning=meaning)

    def read_invocation(self, type_, name, rights, meaning):
        self.add(self.invocations, name=f"{type_}.{name}", type=type_, verb=name, number=self.type_number(type_),
                 rights=rights, mask=self.mask(rights), meaning=meaning, args=[], more=0, more_meaning="", gives=[], again=False)

    def read_arg(self, name, kind, *rest):
        args = self.invocations[-1]["args"]
        arg = {"name": name, "kind": kind, "type": 0, "mask": 0, "below": 0, "text": "any"}
        if kind == "word":
            (arg["meaning"],) = rest
        elif kind == "below":
            limit, arg["meaning"] = rest
            arg["below"] = self.value(limit)
            arg["text"] = f"below {limit}"
        elif kind in ("cap", "opt"):
            type_, rights, arg["meaning"] = rest
            arg["type"], arg["mask"] = self.type_number(type_), self.mask(rights)
            arg["text"] = ("handle: " if kind == "cap" else "handle or 0: ") + type_ + ("" if rights == "-" else f" ({rights})")
        else:
            raise TableError(f"unknown kind of argument '{kind}'")
        self.add(args, **arg)
        if len(args) > ARGS_MAX:
            raise TableError(f"more than {ARGS_MAX} arguments")

    def value(self, limit):
        counts = {"ROLES": len(self.roles), "FIELDS": len(self.fields), "TYPES": len(self.types) + 1}
        known = {e["name"]: e["value"] for e in self.limits}
        return int(limit) if limit.isdigit() else counts[limit] if limit in counts else known[limit]

    def read_more(self, count, meaning):
        invocation = self.invocations[-1]
        invocation["more"], invocation["more_meaning"] = int(count), meaning
        if len(invocation["args"]) + invocation["more"] > WORDS_MAX:
            raise TableError(f"more than {WORDS_MAX} words")

    def read_gives(self, *names):
        self.invocations[-1]["gives"] = list(names)

    def read_again(self):
        self.invocations[-1]["again"] = True


def upper(name):
    return name.replace(".", "_").upper()


def define(name, value, meaning):
    return f"#define {name} {value} /* {meaning} */\n"


GUARD = "/* Made by tools/abigen.py from kernel/abi/kernel.abi: {what}. */\n#ifndef {guard}\n#define {guard}\n\n"


def make_header(t):
    """abi.h: constants only, so that assembly can include it too."""
    out = GUARD.format(what="the constants of the kernel's binary interface", guard="KERNEL_ABI_H")
    for limit in t.limits:
        out += define(limit["name"], limit["value"], limit["meaning"])
    groups = (("OBJ", t.types, 1, "TYPES"), ("KIND", t.kinds, 1, "KINDS"), ("ERR", t.errors, 1, "ERRORS"),
              ("SYS", t.calls, 1, "CALLS"), ("FAULT", t.faults, 1, "FAULTS"), ("ROLE", t.roles, 0, "ROLES"),
              ("FIELD", t.fields, 0, "FIELDS"), ("INV", t.invocations, 1, "LABELS"))
    out += "\n"
    for number, right in enumerate(t.rights):
        out += define(f"RIGHT_{upper(right['name'])}", 1 << number, right["meaning"])
    out += f"#define RIGHTS_ALL {(1 << len(t.rights)) - 1}\n"
    for prefix, entries, first, count in groups:
        out += "\n"
        for number, entry in enumerate(entries, first):
            out += define(f"{prefix}_{upper(entry['name'])}", number, entry["meaning"])
        out += f"#define {count} {len(entries) + first} /* one more than the last */\n"
    out += f"\n#define ABI_ARGS {ARGS_MAX} /* most arguments of an invocation */\n"
    for number, kind in enumerate(ARG_KINDS):
        out += f"#define ARG_{kind.upper()} {number}\n"
    return out + "\n#endif\n"


def array(ctype, name, length, values):
    body = ", ".join(str(v) for v in values)
    return f"static const {ctype} {name}[{length}] = {{{body}}};\n"


def make_table(t):
    """abi_table.h: what the table says of each label, argument, type and role, one array a field."""
    out = GUARD.format(what="what decoding checks, one array a field, by label, by label * ABI_ARGS + argument, by type and by role",
                       guard="KERNEL_ABI_TABLE_H")
    out += "#include \"abi/abi.h\"\n#include <stdint.h>\n\n"
    inv = [{"number": 0, "mask": 0, "args": [], "more": 0}, *t.invocations]
    out += array("uint8_t", "inv_type", "LABELS", [i["number"] for i in inv])
    out += array("uint8_t", "inv_rights", "LABELS", [i["mask"] for i in inv])
    out += array("uint8_t", "inv_words", "LABELS", [len(i["args"]) for i in inv])
    out += array("uint8_t", "inv_more", "LABELS", [i["more"] for i in inv])
    blank = {"kind": "word", "type": 0, "mask": 0, "below": 0}
    args = [a for i in inv for a in (i["args"] + [blank] * ARGS_MAX)[:ARGS_MAX]]
    out += array("uint8_t", "arg_kind", "LABELS * ABI_ARGS", [ARG_KINDS.index(a["kind"]) for a in args])
    out += array("uint8_t", "arg_type", "LABELS * ABI_ARGS", [a["type"] for a in args])
    out += array("uint8_t", "arg_rights", "LABELS * ABI_ARGS", [a["mask"] for a in args])
    out += array("uint32_t", "arg_below", "LABELS * ABI_ARGS", [a["below"] for a in args])
    out += array("uint8_t", "type_rights", "TYPES", [0] + [e["mask"] for e in t.types])
    out += array("uint8_t", "role_type", "ROLES", [e["number"] for e in t.roles])
    out += array("uint8_t", "role_rights", "ROLES", [e["mask"] for e in t.roles])
    return out + "\n#endif\n"


def make_names(t):
    out = GUARD.format(what="names, for tests and for people", guard="KERNEL_ABI_NAMES_H")
    out += "#include \"abi/abi.h\"\n\n"
    groups = (("inv_name", "LABELS", t.invocations, 1), ("type_name", "TYPES", t.types, 1), ("error_name", "ERRORS", t.errors, 1),
              ("call_name", "CALLS", t.calls, 1),
              ("field_name", "FIELDS", t.fields, 0))
    for name, length, entries, first in groups:
        texts = ["none"] * first + [e["name"] for e in entries]
        out += array("char *const", name, length, ['"%s"' % text for text in texts])
    return out + "\n#endif\n"


def make_stubs(t):
    """stubs.h: each invocation as a function; kernel_invoke is the programs' library's."""
    out = GUARD.format(what="the invocations as functions of a program", guard="KERNEL_STUBS_H")
    out += """#include "abi/abi.h"
#include <stdint.h>

/* Calls the kernel object behind a handle: word[0 .. words - 1] are the arguments; the answer, or a refusal's argument number and
 * limit, stands in word[] afterwards. Returns 0 or ERR_... */
unsigned kernel_invoke(uint64_t handle, unsigned label, unsigned words, uint64_t word[MSG_WORDS_REGS]);

"""
    for i in t.invocations:
        params = "".join(f", uint64_t {a['name']}" for a in i["args"])
        count = str(len(i["args"]))
        values = ", ".join(a["name"] for a in i["args"])
        fill = ""
        if i["more"]:
            params += ", unsigned more_count, const uint64_t *more"
            count = f"{len(i['args'])} + more_count"
            fill = (f"    for (unsigned k = 0; k < more_count && k < {i['more']}; k++) {{\n"
                    f"        word[{len(i['args'])} + k] = more[k];\n    }}\n")
        if i["gives"]:
            params += ", uint64_t answer[MSG_WORDS_REGS]"
        out += f"/* {i['meaning']}" + (f"; answer: {', '.join(i['gives'])}" if i["gives"] else "") + ". */\n"
        out += f"static inline unsigned {i['name'].replace('.', '_')}(uint64_t handle{params})\n{{\n"
        out += f"    uint64_t word[MSG_WORDS_REGS] = {{{values or 0}}};\n{fill}"
        call = f"kernel_invoke(handle, INV_{upper(i['name'])}, {count}, word)"
        if i["gives"]:
            out += f"    unsigned error = {call};\n"
            out += "    for (unsigned k = 0; k < MSG_WORDS_REGS; k++) {\n        answer[k] = word[k];\n    }\n    return error;\n}\n\n"
        else:
            out += f"    return {call};\n}}\n\n"
    return out + "#endif\n"


def rows(head, lines):
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(str(c) for c in line)} |" for line in lines)]


def doc_blocks(t):
    """The document's tables, by the name in their markers."""
    numbered = lambda entries, first: [(n, e) for n, e in enumerate(entries, first)]  # noqa: E731
    blocks = {
        "types": rows(("number", "type", "rights of a new one", "what"),
                      [(n, e["name"], e["rights"], e["meaning"]) for n, e in numbered(t.types, 1)]),
        "rights": rows(("bit", "letter", "right", "what"),
                       [(n, e["letter"], e["name"], e["meaning"]) for n, e in numbered(t.rights, 0)]),
        "kinds": rows(("number", "kind", "what"), [(n, e["name"], e["meaning"]) for n, e in numbered(t.kinds, 1)]),
        "errors": rows(("number", "error", "meaning", "cure"),
                       [(n, e["name"], e["meaning"], e["cure"]) for n, e in numbered(t.errors, 1)]),
        "calls": rows(("number", "system call", "what"), [(n, e["name"], e["meaning"]) for n, e in numbered(t.calls, 1)]),
        "faults": rows(("number", "fault", "when", "words"),
                       [(n, e["name"], e["meaning"], ", ".join(e["words"])) for n, e in numbered(t.faults, 1)]),
        "roles": rows(("number", "role", "capability", "what"),
                      [(n, e["name"], f"{e['type']} ({e['rights']})", e["meaning"]) for n, e in numbered(t.roles, 0)]),
        "fields": rows(("number", "table", "what"), [(n, e["name"], e["meaning"]) for n, e in numbered(t.fields, 0)]),
        "limits": rows(("limit", "value", "what"), [(e["name"], e["value"], e["meaning"]) for e in t.limits]),
    }
    lines = []
    for number, i in numbered(t.invocations, 1):
        lines += [f"**{i['name']}** (label {number}, wants {i['type']}" + ("" if i["rights"] == "-" else f" with {i['rights']}") +
                  ")" + (", in slices" if i["again"] else "") + f": {i['meaning']}.", ""]
        body = [(a["name"], a["text"], a["meaning"]) for a in i["args"]]
        if i["more"]:
            body.append(("...", f"up to {i['more']}", i["more_meaning"]))
        if body:
            lines += [*rows(("word", "wanted", "what"), body), ""]
        if i["gives"]:
            lines += [f"Answer: {', '.join(i['gives'])}.", ""]
    blocks["invocations"] = lines[:-1]
    return blocks


def renew_doc(text, blocks):
    for name, lines in blocks.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if begin not in text or end not in text:
            raise TableError(f"the document lacks the markers of '{name}'")
        head, rest = text.split(begin, 1)
        text = head + begin + "\n".join(lines) + "\n" + end + rest.split(end, 1)[1]
    return text


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def write_if_changed(path, text):
    """Leaves an equal file alone, so that nothing is built again for it."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if os.path.exists(path) and read(path) == text:
        return
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--out")
    parser.add_argument("--doc")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    try:
        t = Table(options.table)
        if options.out:
            makers = (("abi.h", make_header), ("abi_table.h", make_table), ("abi_names.h", make_names), ("stubs.h", make_stubs))
            for name, make in makers:
                write_if_changed(os.path.join(options.out, name), make(t))
        if options.doc:
            old = read(options.doc)
            new = renew_doc(old, doc_blocks(t))
            if options.check and old != new:
                print(f"{options.doc} is stale: run tools/abigen.py {options.table} --doc {options.doc}")
                return 1
            if not options.check:
                write_if_changed(options.doc, new)
    except (TableError, OSError) as e:
        print(e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
