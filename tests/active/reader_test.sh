#!/bin/bash
# A reader that was written from docs/store-format.md alone shows and restores an active tree with what is in its journal alone.
set -eu
build=${COGNU_BUILD:-build}
here=$(cd "$(dirname "$0")" && pwd)
reader=$here/../store/reader.py
python3 -c 'import cryptography' 2> /dev/null || { echo "python3-cryptography is not installed"; exit 77; }
top=$(mktemp -d "${TMPDIR:-/tmp}/active-reader.XXXXXX")
trap 'rm -rf "$top"' EXIT
. "$here/../store/checks.sh"
echo secret > "$top/pass"
export COGNU_STORE_PASSPHRASE_FILE=$top/pass
# What a file system of the host cannot have is not compared: modes and attributes of symbolic links, attributes of pipes.
restored() {
    python3 - "$1" "$2" << 'END'
import hashlib, os, stat, sys
text, root = sys.argv[1:]
kinds = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFLNK: 3, stat.S_IFIFO: 4}
lines = open(text, "rb").read().split(b"\n")[:-1]
count = sum(len(d) + len(f) for _, d, f in os.walk(root.encode()))
assert count == len(lines), f"{count} names, {len(lines)} wanted"
for line in lines:
    path, kind, mode, links, size, digest, attributes, target = line.split(b" ")
    at = root.encode() + path
    st = os.lstat(at)
    got = kinds[stat.S_IFMT(st.st_mode)]
    assert got == int(kind), (path, got)
    assert got == 3 or st.st_mode & 0o7777 == int(mode, 8), (path, oct(st.st_mode))
    assert got == 2 or st.st_nlink == int(links), (path, st.st_nlink)
    if got == 1:
        data = open(at, "rb").read()
        assert len(data) == int(size) and hashlib.sha256(data).hexdigest().encode() == digest, path
    if got == 3:
        assert os.readlink(at) == target, path
    if got <= 2:
        have = b",".join(n.encode() + b"=" + os.getxattr(at, n) for n in os.listxattr(at) if n.startswith("user."))
        assert have == attributes, (path, have)
END
}
for seed in 1 2 3; do
    store=$top/s$seed
    check "init" "$build/commands/store" -q -s "$store" init
    "$build/test/active_scene" "$store" secret $seed > "$top/want"
    check "its journal has several segments" test "$(ls "$store/journal" | wc -l)" -ge 2
    check "a segment is dumped" sh -c "'$build/commands/store' -s '$store' dump journal \$(ls '$store/journal' | head -1) | grep -q '^frames [1-9]'"
    python3 "$reader" "$store" "$top/pass" tree active > "$top/got" || echo "reader failed" >> "$top/got"
    check "the tree is shown as it is ($seed)" diff "$top/want" "$top/got"
    if [ "$(id -u)" -eq 0 ]; then # directories may be closed to their owner
        check "it is restored" python3 "$reader" "$store" "$top/pass" restore active "$top/r$seed"
        check "as it is ($seed)" restored "$top/want" "$top/r$seed"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
