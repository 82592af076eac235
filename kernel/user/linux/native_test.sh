#!/bin/sh
# Programs that are compiled after the image was built run on the kernel as they do on Linux: the same output, the same status.
# Ends in 'N passed, N failed'.
set -u
cd "$(dirname "$0")/../../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cat > "$tmp/t.c" <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static char big[300000];
int main(int argc, char **argv)
{
    char *heap = malloc(5000000);
    memset(heap, 7, 5000000);
    memset(big, 3, sizeof(big));
    double root = 1;
    for (int i = 0; i < 40; i++) {
        root = (root + 2 / root) / 2;
    }
    printf("%s %d %d %.10f\n", strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0], argc, heap[4999999] + big[299999], root);
    free(heap);
    fprintf(stderr, "to the end\n");
    return 42;
}
C
passed=0
failed=0
one() { # NAME COMPILER...
    name=$1
    shift
    if ! "$@" -o "$tmp/$name" "$tmp/t.c"; then
        echo "FAIL $name: does not compile"
        failed=$((failed + 1))
        return
    fi
    "$tmp/$name" > "$tmp/want" 2>&1
    want=$?
    tools/native --deadline 60 "$tmp/$name" > "$tmp/got" 2>&1
    got=$?
    if [ $got = $want ] && cmp -s "$tmp/want" "$tmp/got"; then
        echo "ok $name"
        passed=$((passed + 1))
    else
        echo "FAIL $name: status $got, not $want; output:"
        diff "$tmp/want" "$tmp/got"
        failed=$((failed + 1))
    fi
}
one program_of_gcc_static gcc -O2 -static
one program_of_gcc_static_pie gcc -O2 -static-pie
one program_of_gcc_static_unoptimised gcc -O0 -static
if command -v musl-gcc > /dev/null; then
    one program_of_musl_static musl-gcc -O2 -static
fi
# A program of Debian's as it is installed, with arguments.
if [ "$(dpkg-query -W -f '${db:Status-Status}' busybox-static 2> /dev/null)" = installed ]; then
    tools/native --deadline 60 --args='a-%s-b x' /bin/busybox printf > "$tmp/got" 2>&1
    tools/native --deadline 60 --args='3 5' /bin/busybox seq >> "$tmp/got" 2>&1
    if [ "$(tr '\n' ' ' < "$tmp/got")" = 'a-x-b 3 4 5 ' ]; then
        echo "ok busybox_of_debian"
        passed=$((passed + 1))
    else
        echo "FAIL busybox_of_debian; output:"
        cat "$tmp/got"
        failed=$((failed + 1))
    fi
fi
# The shell of `make native`: a program reads a line that a driver in user space took from the serial line, and edited.
mkfifo "$tmp/typed"
tools/native --shell --deadline 60 < "$tmp/typed" > "$tmp/got" 2>&1 &
exec 3> "$tmp/typed"
tries=0
until grep -q 'hello-' "$tmp/got" || [ $tries = 300 ]; do
    sleep 0.2
    tries=$((tries + 1))
done
printf 'ask\nAdx\177a\nexit\n' >&3
wait $!
exec 3>&-
if grep -q 'Good day, Ada\.' "$tmp/got"; then
    echo "ok shell_and_input"
    passed=$((passed + 1))
else
    echo "FAIL shell_and_input; output:"
    cat "$tmp/got"
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
