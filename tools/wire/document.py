"""Makes the tables of the normative document, between its markers."""

import re

from wire.table import SHARED, fail

TITLES = {"P": "9P2000", "L": "9P2000.L", "NG": "9P-NG"}


def cell(text):
    return text.replace("|", "\\|")


def doc_values(rows):
    return ["", "| name | value | meaning |", "|---|---|---|"] + \
        [f"| `{name}` | {value} | {cell(meaning)} |" for name, value, meaning in rows]


def doc_fields(members):
    if not members:
        return ["", "It has no fields."]
    return ["", "| field | type | meaning |", "|---|---|---|"] + \
        [f"| `{f.name}` | {f.type} | {cell(f.meaning)} |" for f in members]


def doc_message(m):
    cls = "reply" if m.cls == "reply" else f"class {m.cls}"
    title = f"**message {m.short}**, {TITLES[m.dialect]}, number {m.number}, {cls}"
    return [title] + doc_fields(m.members)


def doc_dialect(table, dialect):
    out = [f"**messages of {TITLES[dialect]}**", ""]
    out += ["| number | message | class | fields |", "|---|---|---|---|"]
    for m in table.messages(dialect):
        fields = ", ".join(f"`{f.name}` {f.type}" for f in m.members)
        out.append(f"| {m.number} | {m.short} | {m.cls} | {fields} |")
    return out


def doc_index(table):
    out = ["| request | number | reply | number | class |", "|---|---|---|---|---|"]
    replies = {m.number: m for m in table.messages("NG")}
    for m in table.messages("NG"):
        if m.short[0] == "T":
            r = replies[m.number + 1]
            out.append(f"| {m.short} | {m.number} | {r.short} | {r.number} | {m.cls} |")
    return out


def doc_errors(text):
    row = re.compile(r'^CG_ERROR\((\w+),\s*(\d+),\s*(\w+),\s*"([^"]*)",\s*"([^"]*)"\)$', re.M)
    rows = row.findall(text)
    if len(rows) != len(re.findall(r"^CG_ERROR\(", text, re.M)):
        fail(0, 'errors.def: a row is not CG_ERROR(NAME, code, ERRNO, "text", "meaning")')
    return ["| code | name | errno | 9P2000 text | meaning |", "|---|---|---|---|---|"] + \
        [f"| {code} | {name} | {errno} | {text} | {why} |" for name, code, errno, text, why in rows]


def doc_blocks(table, errors):
    """What may stand between markers, by the marker's name."""
    out = {"constants": doc_values((b.name, b.value, b.meaning) for b in table.of("const"))[1:],
           "messages": doc_index(table), "errors": doc_errors(errors),
           "dialect P": doc_dialect(table, "P"), "dialect L": doc_dialect(table, "L")}
    for b in table.of("flags") + table.of("enum"):
        out[f"{b.kind} {b.name}"] = [f"**{b.kind} {b.name}**"] + doc_values(b.members)
    for b in table.of("struct"):
        out[f"struct {b.name}"] = [f"**structure {b.name}**"] + doc_fields(b.members)
    for m in table.of("message"):
        if m.dialect == "NG" or m.name in SHARED:
            out[f"message {m.short}"] = doc_message(m)
    return out


def renew_doc(text, blocks):
    """The document with all its tables made anew."""
    used = set()

    def fill(found):
        name = found.group(1)
        if name not in blocks:
            fail(0, f"the document asks for wire:{name}, which the table does not have")
        if name in used:
            fail(0, f"the document asks for wire:{name} twice")
        used.add(name)
        return "\n".join([f"<!-- wire:{name} -->", *blocks[name], "<!-- end -->"])

    text = re.sub(r"<!-- wire:([\w ]+) -->\n.*?<!-- end -->", fill, text, flags=re.S)
    missing = [name for name in blocks if name not in used]
    if missing:
        fail(0, "the document lacks wire:" + ", wire:".join(missing))
    return text
