"""Makes the C header and the codec."""

from wire.table import DIALECTS, MADE, RAW, VARYING

# ---- the header ----------------------------------------------------------------------------------

def c_line(code, meaning):
    """A line of code with its meaning as a comment, within 100 columns."""
    if not meaning:
        return [code]
    if len(code) + len(meaning) + 7 <= 100:
        return [f"{code} /* {meaning} */"]
    pad = code[: len(code) - len(code.lstrip())]
    lines, line = [], f"{pad}/* "
    for word in meaning.split():
        if len(line) + len(word) + 3 > 100:
            lines.append(line.rstrip())
            line = f"{pad} * "
        line += word + " "
    return lines + [line + "*/", code]


def c_struct(name, members):
    out = [f"struct ninep_{name} {{"]
    for f in members:
        kind = {"i64": "int64_t", "str": "struct cg_span", "blob": "struct cg_span",
                "names": "struct ninep_names", "list": "struct ninep_list",
                "struct": f"struct ninep_{f.of}"}.get(f.kind)
        if f.kind in RAW:
            code = f"    uint8_t {f.c}[{RAW[f.kind]}];"
        else:
            code = f"    {kind or 'uint' + f.kind[1:] + '_t'} {f.c};"
        texts = (f.kind == "list" and f"of {f.of}", f.meaning)
        out += c_line(code, "; ".join(x for x in texts if x))
    if not members:
        out.append("    uint8_t none; /* it has no fields, which C does not allow */")
    return out + ["};"]


def c_constants(table):
    out = []
    for b in table.of("const"):
        value = b.value + ("U" if int(b.value, 0) > 0x7FFFFFFF else "")
        out += c_line(f"#define NINEP_{b.name:<16} {value:<11}".rstrip(), b.meaning)
    for b in table.of("flags") + table.of("enum"):
        out += ["", f"enum {{ /* {b.kind} {b.name} */"]
        for name, value, meaning in b.members:
            out += c_line(f"    NINEP_{b.name.upper()}_{name} = {value},", meaning)
        out.append("};")
    return out


def c_numbers(table):
    out = []
    for dialect, title in (("NG", "9P-NG"), ("P", "9P2000"), ("L", "9P2000.L")):
        out += ["", f"enum {{ /* messages of {title} */"]
        out += [f"    NINEP_{m.C} = {m.number}," for m in table.messages(dialect)]
        out.append("};")
    return out


PAYLOAD_COMMENT = (
    "/* Where in its message's body the bytes of the last blob or list begin, so that they can be",
    " * produced in place. Where it varies, it is the body's size less the payload's. */",
)


def c_sizes(table):
    out = ["", "/* Structures of constant size, in bytes. */", "enum {"]
    for b in table.order:
        if table.struct_bytes(b) is not None:
            out.append(f"    NINEP_{b.C}_BYTES = {table.struct_bytes(b)},")
    out += ["};", "", *PAYLOAD_COMMENT, "enum {"]
    for m in table.of("message"):
        if table.payload_at(m) is not None:
            code = f"    NINEP_{m.C}_PAYLOAD_AT = {table.payload_at(m)},"
            out += c_line(code, m.members[-1].name)
    return out + ["};"]


HEADER_TOP = """
/* %s
 *
 * Structures, numbers and codec of 9P-NG, 9P2000.L (prefix L_) and 9P2000 (prefix P_).
 *
 * ninep_get_X decodes a structure or a message's body (its fields without the header): on a
 * malformed body it sets b->bad. Spans and lists borrow the buffer's bytes. ninep_put_X encodes;
 * what does not fit its field or the buffer sets b->bad. ninep_size_X says how many bytes
 * ninep_put_X takes. A blob whose bytes already stand in their place in the buffer is not copied.
 * A field named like a word of C ends in an underscore.
 */
#ifndef COGNU_NINEP_WIRE_H
#define COGNU_NINEP_WIRE_H

#include <cognu/base.h>
"""

HEADER_TYPES = """
enum ninep_dialect { NINEP_DIALECT_P, NINEP_DIALECT_L, NINEP_DIALECT_NG };

enum ninep_class {
    NINEP_CLASS_UNKNOWN, /* no such message */
    NINEP_CLASS_IDEM,    /* may be run again when it is replayed */
    NINEP_CLASS_ONCE,    /* is recorded in the session's ledger */
    NINEP_CLASS_CONTROL, /* is handled by the session itself */
    NINEP_CLASS_REPLY,
};

struct ninep_names {
    uint16_t count;
    struct cg_span name[NINEP_WALK_NAMES_MAX];
};

/* Members in their encoded form, already checked when they were decoded. To encode a list, put its
 * members into a buffer first. To read one:
 *     struct cg_buf it = ninep_list_iter(&l);
 *     for (uint32_t i = 0; i < l.count; i++) {
 *         ninep_get_entry(&it, &e);
 *     } */
struct ninep_list {
    uint16_t count;
    struct cg_span body;
};
struct cg_buf ninep_list_iter(const struct ninep_list *l);
"""

HEADER_UNION = """
/* By message number, for 9P-NG. False: unknown type, or malformed: b->bad, or bytes left over. */
bool ninep_get_tmsg(uint8_t type, struct cg_buf *b, union ninep_tmsg *t);
bool ninep_get_rmsg(uint8_t type, struct cg_buf *b, union ninep_rmsg *r);
/* False: unknown type, or b->bad. */
bool ninep_put_tmsg(uint8_t type, struct cg_buf *b, const union ninep_tmsg *t);
bool ninep_put_rmsg(uint8_t type, struct cg_buf *b, const union ninep_rmsg *r);
/* Bytes of the encoded body; UINT32_MAX: beyond 32 bits; 0 for an unknown type. */
uint32_t ninep_tmsg_size(uint8_t type, const union ninep_tmsg *t);
uint32_t ninep_rmsg_size(uint8_t type, const union ninep_rmsg *r);

/* "Twalk"; "unknown" when the dialect has no such message. L has those of P but for its own. */
const char *ninep_type_name(uint8_t type, enum ninep_dialect dialect);
enum ninep_class ninep_type_class(uint8_t type); /* in any dialect: they agree */
"""


def c_prototypes(block):
    n = block.c
    return [f"void ninep_get_{n}(struct cg_buf *b, struct ninep_{n} *v);",
            f"void ninep_put_{n}(struct cg_buf *b, const struct ninep_{n} *v);",
            f"uint64_t ninep_size_{n}(const struct ninep_{n} *v);"]


def make_header(table):
    out = [HEADER_TOP.strip() % MADE, ""] + c_constants(table) + c_numbers(table)
    out += [HEADER_TYPES.rstrip()]
    for b in table.order:
        out += [""] + c_struct(b.c, b.members)
    for m in table.of("message"):
        cls = "" if m.cls == "reply" else f", {m.cls}"
        out += ["", f"/* {m.short} of {m.dialect}: {m.number}{cls} */"] + c_struct(m.c, m.members)
    out += c_sizes(table)
    for side, letter in (("tmsg", "T"), ("rmsg", "R")):
        out += ["", f"union ninep_{side} {{"]
        mine = [m for m in table.messages("NG") if m.short[0] == letter]
        out += [f"    struct ninep_{m.c} {m.c[1:]};" for m in mine]
        out.append("};")
    out += [HEADER_UNION.rstrip(), ""]
    for b in table.order + table.of("message"):
        out += c_prototypes(b)
    return "\n".join(out + ["", "#endif", ""])


# ---- the codec -----------------------------------------------------------------------------------

CODEC_TOP = """
/* %s */

#include <cognu/ninep_wire.h>
#include <string.h>

struct cg_buf ninep_list_iter(const struct ninep_list *l)
{
    return cg_buf_reader(l->body.data, l->body.len);
}

static void get_raw(struct cg_buf *b, uint8_t *out, size_t len)
{
    struct cg_span s = cg_get_span(b, len);
    memset(out, 0, len);
    if (s.len == len) {
        memcpy(out, s.data, len);
    }
}

/* Bytes that already stand in their place are not copied. */
static void put_span(struct cg_buf *b, struct cg_span s)
{
    if (s.len > 0 && s.len <= cg_buf_left(b) && s.data == b->base + b->pos) {
        b->pos += s.len;
    } else if (s.len > 0) {
        cg_put_bytes(b, s.data, s.len);
    }
}

static void put_str(struct cg_buf *b, struct cg_span s)
{
    if (s.len > UINT16_MAX) {
        b->bad = true;
        return;
    }
    cg_put_u16(b, (uint16_t)s.len);
    put_span(b, s);
}

static void put_blob(struct cg_buf *b, struct cg_span s)
{
    cg_put_u32(b, s.len);
    put_span(b, s);
}

static void get_names(struct cg_buf *b, struct ninep_names *v)
{
    v->count = cg_get_u16(b);
    if (v->count > NINEP_WALK_NAMES_MAX) {
        b->bad = true;
        v->count = 0;
    }
    for (uint16_t i = 0; i < v->count; i++) {
        v->name[i] = cg_get_span(b, cg_get_u16(b));
    }
}

static void put_names(struct cg_buf *b, const struct ninep_names *v)
{
    if (v->count > NINEP_WALK_NAMES_MAX) {
        b->bad = true;
        return;
    }
    cg_put_u16(b, v->count);
    for (uint16_t i = 0; i < v->count; i++) {
        put_str(b, v->name[i]);
    }
}

static uint64_t size_names(const struct ninep_names *v)
{
    uint64_t bytes = 2;
    for (uint16_t i = 0; i < v->count && i < NINEP_WALK_NAMES_MAX; i++) {
        bytes += 2 + v->name[i].len;
    }
    return bytes;
}

/* Members of constant size need no look at each. */
static struct ninep_list get_list_fixed(struct cg_buf *b, size_t member_bytes)
{
    struct ninep_list l = {.count = cg_get_u16(b)};
    l.body = cg_get_span(b, l.count * member_bytes);
    return l;
}

/* A frame is far below 4 GiB, and so is any list in it. */
static struct ninep_list get_list(struct cg_buf *b, void (*skip)(struct cg_buf *b))
{
    struct ninep_list l = {.count = cg_get_u16(b)};
    size_t start = b->pos;
    for (uint16_t i = 0; i < l.count && !b->bad; i++) {
        skip(b);
    }
    if (!b->bad) {
        l.body = (struct cg_span){b->base + start, (uint32_t)(b->pos - start)};
    }
    return l;
}

static void put_list(struct cg_buf *b, const struct ninep_list *l)
{
    cg_put_u16(b, l->count);
    put_span(b, l->body);
}

static uint32_t clamp_size(uint64_t bytes)
{
    return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}
"""


def c_get(table, f):
    x = f"v->{f.c}"
    if f.kind in RAW:
        return f"get_raw(b, {x}, sizeof {x});"
    if f.kind == "list":
        fixed = table.struct_bytes(table.structs[f.of]) is not None
        if fixed:
            return f"{x} = get_list_fixed(b, NINEP_{f.of.upper()}_BYTES);"
        return f"{x} = get_list(b, skip_{f.of});"
    return {"u8": f"{x} = cg_get_u8(b);", "u16": f"{x} = cg_get_u16(b);",
            "u32": f"{x} = cg_get_u32(b);", "u64": f"{x} = cg_get_u64(b);",
            "i64": f"{x} = (int64_t)cg_get_u64(b);", "str": f"{x} = cg_get_span(b, cg_get_u16(b));",
            "blob": f"{x} = cg_get_span(b, cg_get_u32(b));", "names": f"get_names(b, &{x});",
            "struct": f"ninep_get_{f.of}(b, &{x});"}[f.kind]


def c_put(f):
    x = f"v->{f.c}"
    if f.kind in RAW:
        return f"cg_put_bytes(b, {x}, sizeof {x});"
    return {"i64": f"cg_put_u64(b, (uint64_t){x});", "str": f"put_str(b, {x});",
            "blob": f"put_blob(b, {x});", "names": f"put_names(b, &{x});",
            "list": f"put_list(b, &{x});",
            "struct": f"ninep_put_{f.of}(b, &{x});"}.get(f.kind, f"cg_put_{f.kind}(b, {x});")


def c_size(table, block):
    """The sum of the constant parts, then each varying part."""
    fixed, parts = 0, []
    for f in block.members:
        bytes_ = table.fixed_bytes(f)
        if bytes_ is not None:
            fixed += bytes_
        elif f.kind in VARYING:
            fixed += VARYING[f.kind]
            parts.append(f"v->{f.c}.len")
        elif f.kind == "list":
            fixed += 2
            parts.append(f"v->{f.c}.body.len")
        elif f.kind == "names":
            parts.append(f"size_names(&v->{f.c})")
        else:
            parts.append(f"ninep_size_{f.of}(&v->{f.c})")
    return " + ".join([f"(uint64_t){fixed}"] + parts) if parts else str(fixed)


def c_function(head, lines):
    return ["", head, "{"] + [f"    {x}" for x in lines] + ["}"]


def c_codec(table, block):
    n = block.c
    gets = [c_get(table, f) for f in block.members] or ["(void)b;", "v->none = 0;"]
    puts = [c_put(f) for f in block.members] or ["(void)b;", "(void)v;"]
    out = c_function(f"void ninep_get_{n}(struct cg_buf *b, struct ninep_{n} *v)", gets)
    out += c_function(f"void ninep_put_{n}(struct cg_buf *b, const struct ninep_{n} *v)", puts)
    size = c_size(table, block)
    return out + c_function(f"uint64_t ninep_size_{n}(const struct ninep_{n} *v)",
                            ([] if "v->" in size else ["(void)v;"]) + [f"return {size};"])


def c_skippers(table):
    used = {f.of for m in table.of("message") for f in m.members if f.kind == "list"}
    out = []
    for b in table.order:
        if b.name in used and table.struct_bytes(b) is None:
            out += c_function(f"static void skip_{b.c}(struct cg_buf *b)",
                              [f"struct ninep_{b.c} v;", f"ninep_get_{b.c}(b, &v);"])
    return out


def c_switch(table, side, verb):
    letter, var = side[0].upper(), side[0]
    const = "" if verb == "get" else "const "
    if verb == "size":
        out = ["", f"uint32_t ninep_{side}_size(uint8_t type, const union ninep_{side} *{var})"]
    else:
        args = f"uint8_t type, struct cg_buf *b, {const}union ninep_{side} *{var}"
        out = ["", f"bool ninep_{verb}_{side}({args})"]
    out += ["{", "    switch (type) {"]
    for m in table.messages("NG"):
        if m.short[0] == letter:
            out.append(f"    case NINEP_{m.C}:")
            if verb == "size":
                out.append(f"        return clamp_size(ninep_size_{m.c}(&{var}->{m.c[1:]}));")
            else:
                out += [f"        ninep_{verb}_{m.c}(b, &{var}->{m.c[1:]});", "        break;"]
    out += ["    default:", f"        return {'0' if verb == 'size' else 'false'};", "    }"]
    if verb != "size":
        out.append("    return !b->bad" + (" && cg_buf_left(b) == 0;" if verb == "get" else ";"))
    return out + ["}"]


def c_lookups(table):
    out = []
    for dialect in DIALECTS:
        out += ["", f"static const char *const {dialect.lower()}_names[256] = {{"]
        out += [f'    [{m.number}] = "{m.short}",' for m in table.messages(dialect)] + ["};"]
    out += ["", "static const uint8_t classes[256] = {"]
    seen = set()
    for m in table.of("message"):
        if m.number not in seen:
            out.append(f"    [{m.number}] = NINEP_CLASS_{m.cls.upper()},")
            seen.add(m.number)
    return out + ["};"]


CODEC_END = """
const char *ninep_type_name(uint8_t type, enum ninep_dialect dialect)
{
    const char *name = dialect == NINEP_DIALECT_NG  ? ng_names[type]
                       : dialect == NINEP_DIALECT_L ? l_names[type]
                                                    : p_names[type];
    /* Tversion is of all dialects; P lies below L. */
    bool shared = type == NINEP_TVERSION || type == NINEP_RVERSION;
    if (!name && (shared || dialect == NINEP_DIALECT_L)) {
        name = p_names[type];
    }
    return name ? name : "unknown";
}

enum ninep_class ninep_type_class(uint8_t type)
{
    return (enum ninep_class)classes[type];
}
"""


def make_codec(table):
    out = [CODEC_TOP.strip() % MADE]
    skippers = c_skippers(table)
    for b in table.order:
        out += c_codec(table, b)
    out += skippers
    for m in table.of("message"):
        out += c_codec(table, m)
    for side in ("tmsg", "rmsg"):
        for verb in ("get", "put", "size"):
            out += c_switch(table, side, verb)
    return "\n".join(out + c_lookups(table) + [CODEC_END.rstrip(), ""])
