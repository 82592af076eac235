#!/usr/bin/env python3
"""mkimage: writes a boot image for the kernel (its form: kernel/abi/boot_image.h).

    mkimage.py --out IMAGE --root ROOT.elf [NAME=FILE ...]

ROOT.elf becomes the root task: its loadable segments are laid out in whole pages. Each NAME=FILE is kept as it is.
"""
import argparse
import struct
import sys

PAGE = 4096
MAGIC = 0x656761
SEGMENTS, FILES, NAME = 6, 40, 48
READ, WRITE, EXECUTE = 1, 2, 8
ROOT_FIRST, ROOT_END = 0x400000, 0x5F0000


def fail(text):
    sys.exit(f"mkimage: {text}")


def pages(data):
    return data + bytes(-len(data) % PAGE)


def root_segments(path):
    """(entry, [(address, bytes of whole pages, rights)]) of a static ELF."""
    with open(path, "rb") as f:
        elf = f.read()
    if elf[:6] != b"\x7fELF\x02\x01":
        fail(f"{path} is no 64-bit little-endian ELF")
    entry, offset = struct.unpack_from("<QQ", elf, 24)
    size, count = struct.unpack_from("<HH", elf, 54)
    found = []
    for i in range(count):
        kind, flags, at, address, _, filed, memory, _ = struct.unpack_from("<IIQQQQQQ", elf, offset + i * size)
        if kind != 1 or memory == 0:
            continue
        lead = address % PAGE
        if flags & 3 == 3:
            fail(f"{path}: the segment at {address:#x} is both writable and executable")
        rights = READ | (WRITE if flags & 2 else 0) | (EXECUTE if flags & 1 else 0)
        data = bytes(lead) + elf[at:at + filed] + bytes(memory - filed)
        if address - lead < ROOT_FIRST or address + memory > ROOT_END:
            fail(f"{path}: the segment at {address:#x} is outside of {ROOT_FIRST:#x} .. {ROOT_END:#x}")
        found.append((address - lead, pages(data), rights))
    for (a, data, _), (b, _, _) in zip(found, found[1:]):
        if a + len(data) > b:
            fail(f"{path}: two segments share the page at {b:#x}")
    if len(found) > SEGMENTS:
        fail(f"{path} has {len(found)} segments; {SEGMENTS} fit")
    return entry, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("files", nargs="*", metavar="NAME=FILE")
    args = parser.parse_args()
    entry, segments = root_segments(args.root)
    if len(args.files) > FILES:
        fail(f"{len(args.files)} files; {FILES} fit")
    body, page = b"", 1
    table = b""
    for address, data, rights in segments:
        table += struct.pack("<QQQQ", address, page, len(data) // PAGE, rights)
        body += data
        page += len(data) // PAGE
    table += bytes((SEGMENTS - len(segments)) * 32)
    table += struct.pack("<Q", len(args.files))
    for item in args.files:
        name, _, path = item.partition("=")
        if not path or len(name.encode()) >= NAME:
            fail(f"'{item}' is not NAME=FILE with a name under {NAME} bytes")
        with open(path, "rb") as f:
            data = f.read()
        table += struct.pack(f"<{NAME}sQQ", name.encode(), page, len(data))
        body += pages(data)
        page += (len(data) + PAGE - 1) // PAGE
    header = struct.pack("<QQQQ", MAGIC, page, entry, len(segments)) + table
    with open(args.out, "wb") as f:
        f.write(pages(header) + body)


if __name__ == "__main__":
    main()
