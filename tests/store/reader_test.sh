#!/bin/bash
# A reader that was written from docs/store-format.md alone restores what `store` put: with each way of compressing, after a
# second version, and after collection rewrote packs.
set -eu
build=${COGNU_BUILD:-build}
top=$(mktemp -d "${TMPDIR:-/tmp}/store-reader.XXXXXX")
trap 'rm -rf "$top"' EXIT
python3 -c 'import cryptography' 2> /dev/null || { echo "python3-cryptography is not installed"; exit 77; }
export COGNU_STORE=$top/s COGNU_STORE_PASSPHRASE_FILE=$top/pass
store() { "$build/commands/store" -q "$@"; }
passed=0 failed=0
compare() { # NAME TREE
    rm -rf "$top/r"
    if python3 tests/store/reader.py "$top/s" "$top/pass" restore "$1@" "$top/r" && diff -r --no-dereference "$2" "$top/r"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $1"
    fi
}
echo secret > "$top/pass"
mkdir -p "$top/t"
cp -r lib/store docs "$top/t/"
for i in $(seq 700); do echo "$i" > "$top/t/file number $i of a directory that needs several nodes"; done
ln "$top/t/docs/TOUR.md" "$top/t/linked"
ln -s docs/TOUR.md "$top/t/link"
truncate -s 1M "$top/t/hole"
python3 - "$top/t/big" <<'EOT'
import random, sys
r = random.Random(1)
with open(sys.argv[1], "wb") as f:
    for _ in range(300):
        f.write(r.randbytes(8192) + b"the same again " * 700)
EOT
store init > /dev/null
for level in fast small plain; do
    store --$level put $level "$top/t"
    compare $level "$top/t"
    echo "$level" >> "$top/t/docs/TOUR.md"
    printf '%s' "$level" | dd of="$top/t/big" bs=1 seek=1000000 conv=notrunc 2> /dev/null
done
rm -r "$top/t/lib" "$top/t/store" 2> /dev/null || true
store put last "$top/t"
store keep --last 1 > /dev/null
store drop $("$build/commands/store" snap fast | cut -d' ' -f1) > /dev/null
store collect
compare last "$top/t"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
