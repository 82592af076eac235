#!/bin/bash
# The examples against each other, as a user would run them; and docs/sdk.md shows them as they are.
set -u
bin=${COGNU_BUILD:?set COGNU_BUILD to the build folder}/bin
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d /tmp/cognu-examples.XXXXXX)
server=
passed=0
failed=0

finish() {
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server"
    rm -rf "$dir"
}
trap finish EXIT

# expect NAME WANT GOT
expect() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s: wanted: %s\n%s: got: %s\n' "$1" "$2" "$1" "$3"
    fi
}

for program in example_notefs example_note; do
    [ -x "$bin/$program" ] || { echo "$bin/$program is not built"; echo "0 passed, 1 failed"; exit 1; }
done
COGNU_LOG=warn "$bin/example_notefs" --socket "$dir/note" &
server=$!
expect "the client waits for its server" "" "$("$bin/example_note" "$dir/note")"
expect "a note is added" "one " "$("$bin/example_note" "$dir/note" "one ")"
expect "another is added" "one two" "$("$bin/example_note" "$dir/note" two)"
expect "it is still there" "one two" "$("$bin/example_note" "$dir/note")"
big=$(head -c 65536 /dev/zero | tr '\0' x)
expect "a refusal is explained" "note: no space left: the note is full: restart notefs for a new one" \
    "$("$bin/example_note" "$dir/note" "$big" 2>&1)"
expect "the socket is its owner's alone" 600 "$(stat -c %a "$dir/note")"
kill "$server"
wait "$server"
expect "the server ends well" 0 $?
server=
expect "and takes its socket along" "" "$(ls "$dir")"
expect "help is given" "usage: notefs [options]" "$("$bin/example_notefs" --help | head -1)"
"$bin/example_notefs" 2>"$dir/err"
expect "no socket is a mistake" 2 $?
for file in notefs.c note.c; do
    shown=$(sed -n "/^\`\`\`c examples\/$file\$/,/^\`\`\`\$/p" "$here/../docs/sdk.md" | sed '1d;$d')
    expect "docs/sdk.md shows $file" "$(cat "$here/$file")" "$shown"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
