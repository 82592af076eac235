#!/usr/bin/env python3
"""wiregen: makes everything that depends on the wire format from lib/ninep/wire.table.

    wiregen.py TABLE --out DIR
        writes DIR/cognu/ninep_wire.h and DIR/ninep_wire.c (the codec), DIR/ninep_grammar.[hc] (the
        messages as data, for tests and fuzzer), DIR/ninep.dict (the fuzzer's dictionary)
    wiregen.py TABLE --doc DOC --errors DEF [--check]
        renews the tables between the markers of the document; with --check it only compares them,
        with status 1 when the document is stale

The table is checked strictly: whatever is not understood is an error with its line number. Only the
standard library is used. The table's own first comment describes its language.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True  # the source tree stays clean

from wire.code import make_codec, make_header  # noqa: E402
from wire.document import doc_blocks, renew_doc  # noqa: E402
from wire.grammar import make_dictionary, make_grammar, make_grammar_header  # noqa: E402
from wire.table import Table, TableError, fail  # noqa: E402


def write_if_changed(path, text):
    """Leaves an equal file alone, so that nothing is built again for it."""
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    if os.path.exists(path) and read(path) == text:
        return
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def make_doc(a, table):
    text = read(a.doc)
    fresh = renew_doc(text, doc_blocks(table, read(a.errors)))
    if not a.check:
        write_if_changed(a.doc, fresh)
    elif fresh != text:
        command = f"tools/wiregen.py {a.table} --doc {a.doc} --errors {a.errors}"
        fail(0, f"{a.doc} is stale; renew it: {command}")


def make_code(out, table):
    write_if_changed(os.path.join(out, "cognu/ninep_wire.h"), make_header(table))
    write_if_changed(os.path.join(out, "ninep_wire.c"), make_codec(table))
    write_if_changed(os.path.join(out, "ninep_grammar.h"), make_grammar_header(table))
    write_if_changed(os.path.join(out, "ninep_grammar.c"), make_grammar(table))
    write_if_changed(os.path.join(out, "ninep.dict"), make_dictionary(table))


def main():
    args = argparse.ArgumentParser(description="makes codec, document tables and fuzzer grammar")
    args.add_argument("table", help="lib/ninep/wire.table")
    args.add_argument("--out", help="directory for the generated code")
    args.add_argument("--doc", help="document whose tables are renewed")
    args.add_argument("--errors", help="errors.def, for the document's error table")
    args.add_argument("--check", action="store_true", help="do not write the document: compare it")
    a = args.parse_args()
    if bool(a.doc) != bool(a.errors):
        args.error("--doc and --errors go together")
    try:
        table = Table(read(a.table))
        if a.out:
            make_code(a.out, table)
        if a.doc:
            make_doc(a, table)
    except TableError as e:
        print(f"{a.table}: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
