#!/bin/bash
# A snapshot of a million files while files are made holds up who makes them for less than 100 ms: see large.c.
set -u
top=$(mktemp -d "${TMPDIR:-/tmp}/active-large.XXXXXX")
trap 'rm -rf "$top"' EXIT
"${COGNU_BUILD:-build}/test/active_large" "$top/s" "${1:-1000000}"
