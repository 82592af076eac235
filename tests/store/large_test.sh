#!/bin/bash
# Ten million chunks in a memory cgroup of 96 MiB: put, read, collected, checked, index made anew, with at most 64 MiB resident.
#
# usage: large_test.sh [N]; needs root for the cgroup (77 without), about 3 GB of disk
set -eu
build=${COGNU_BUILD:-build}
n=${1:-10000000}
limit=$((96 << 20))
top=$(mktemp -d "${TMPDIR:-/tmp}/store-large.XXXXXX")
group=
for base in /sys/fs/cgroup/memory /sys/fs/cgroup; do
    if [ -d $base ] && mkdir "$base/store-large-$$" 2> /dev/null; then
        group=$base/store-large-$$
        break
    fi
done
clean() {
    rm -rf "$top"
    [ -z "$group" ] || rmdir "$group" 2> /dev/null || true
}
trap clean EXIT
[ -n "$group" ] || { echo "no memory cgroup can be made here"; exit 77; }
for file in memory.limit_in_bytes memory.max; do
    [ ! -e "$group/$file" ] || echo $limit > "$group/$file"
done
sh -c "echo \$\$ > $group/cgroup.procs && exec $build/test/store_large $top/s $n" && status=0 || status=$?
for file in memory.max_usage_in_bytes memory.peak; do
    [ ! -e "$group/$file" ] || echo "cgroup: at most $(cat "$group/$file") bytes of $limit, page cache included"
done
echo "$n chunks: $((status == 0)) passed, $((status != 0)) failed"
exit $status
