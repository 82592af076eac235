"""Makes the grammar: the messages as data, for tests and fuzzer."""

from wire.code import c_function
from wire.table import MADE, SCALARS, VARYING

GRAMMAR_HEADER = """
/* %s
 *
 * The messages of all dialects as data: what tests and fuzzer need to make random ones and to
 * compare what was decoded. No program of the system includes it.
 */
#ifndef NINEP_GRAMMAR_H
#define NINEP_GRAMMAR_H

#include <cognu/ninep_wire.h>

enum ninep_kind {
%s
};

struct ninep_shape;
struct ninep_field {
    const char *name;
    enum ninep_kind kind;
    size_t at;                    /* in the C structure */
    const struct ninep_shape *of; /* of a list or a structure */
};

/* A structure, or the body of a message. */
struct ninep_shape {
    const char *name;
    size_t bytes; /* of the C structure */
    const struct ninep_field *fields;
    uint32_t count;
    void (*get)(struct cg_buf *b, void *v);
    void (*put)(struct cg_buf *b, const void *v);
    uint64_t (*size)(const void *v);
};

struct ninep_message {
    enum ninep_dialect dialect;
    uint8_t number;
    enum ninep_class cls;
    struct ninep_shape shape;
};

enum { NINEP_SHAPE_BYTES_MAX = 1024, NINEP_MESSAGES = %d, NINEP_STRUCTS = %d };
extern const struct ninep_message ninep_messages[NINEP_MESSAGES];
extern const struct ninep_shape *const ninep_structs[NINEP_STRUCTS];
extern const struct ninep_shape ninep_shape_thead, ninep_shape_rhead, ninep_shape_phead;

#endif
"""


def make_grammar_header(table):
    kinds = [*SCALARS, *VARYING, "names", "list", "struct"]
    lines = "\n".join(f"    NINEP_KIND_{k.upper()}," for k in kinds)
    return GRAMMAR_HEADER.lstrip() % (MADE, lines, len(table.of("message")), len(table.order))


def c_shape(block, head, end):
    n, c = block.c, f"struct ninep_{block.c}"
    out = [""]
    if block.members:
        out += [f"static const struct ninep_field {n}_fields[] = {{"]
        for f in block.members:
            of = f"&ninep_shape_{f.of}" if f.of else "NULL"
            kind = f"NINEP_KIND_{f.kind.upper()}"
            out.append(f'    {{"{f.name}", {kind}, offsetof({c}, {f.c}), {of}}},')
        out.append("};")
    out += c_function(f"static void get_{n}(struct cg_buf *b, void *v)", [f"ninep_get_{n}(b, v);"])
    out += c_function(f"static void put_{n}(struct cg_buf *b, const void *v)",
                      [f"ninep_put_{n}(b, v);"])
    out += c_function(f"static uint64_t size_{n}(const void *v)", [f"return ninep_size_{n}(v);"])
    fields = f"{n}_fields, CG_COUNT({n}_fields)" if block.members else "NULL, 0"
    shape = f'{{"{block.short}", sizeof({c}), {fields}, get_{n}, put_{n}, size_{n}}}'
    return out, f"{head}{shape}{end}"


def make_grammar(table):
    out, rows = [f"/* {MADE} */", "", '#include "ninep_grammar.h"'], []
    for b in table.order:
        lines, shape = c_shape(b, f"const struct ninep_shape ninep_shape_{b.c} =\n    ", ";")
        out += lines + [shape]
    for m in table.of("message"):
        head = f"    {{NINEP_DIALECT_{m.dialect}, {m.number}, NINEP_CLASS_{m.cls.upper()},\n     "
        lines, shape = c_shape(m, head, "},")
        out += lines
        rows.append(shape)
    out += ["", "const struct ninep_message ninep_messages[NINEP_MESSAGES] = {"] + rows
    out += ["};", "", "const struct ninep_shape *const ninep_structs[NINEP_STRUCTS] = {"]
    out += [f"    &ninep_shape_{b.c}," for b in table.order]
    return "\n".join(out + ["};", ""])


def least_bytes(table, field):
    """The smallest encoding of a field, all zero."""
    if field.kind == "struct":
        return sum(least_bytes(table, f) for f in table.structs[field.of].members)
    return SCALARS.get(field.kind) or VARYING.get(field.kind, 2)


def make_dictionary(table):
    """libFuzzer's form: the least frame of each message; it takes words of at most 64 bytes."""
    out = [f"# {MADE}"]
    for m in table.of("message"):
        header = 7 if m.dialect != "NG" else 32 if m.short[0] == "T" else 16
        size = header + sum(least_bytes(table, f) for f in m.members)
        frame = size.to_bytes(4, "little") + bytes([m.number]) + bytes(size - 5)
        out.append("# " + ", ".join(f"{f.name} {f.type}" for f in m.members))
        out.append(f'{m.c}="' + "".join(f"\\x{b:02x}" for b in frame[:64]) + '"')
    return "\n".join(out) + "\n"
