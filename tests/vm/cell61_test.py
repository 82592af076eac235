#!/usr/bin/env python3
"""A cell on Debian's own kernel, in QEMU: the job is cell61_job.sh.

The guest's root is a tmpfs that holds our programs, stripped, and the Debian programs named below with their libraries, all at the paths
that they have here. Prints one line a check, and 'N passed, N failed'; exits with 77 where QEMU or one of the programs is not installed.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

import vm

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
BOOT_SECONDS = 600  # without hardware virtualisation
MODULES = ["fuse", "veth", "bridge"]
PROGRAMS = """sh bash env true echo cat head tail wc sort seq tr sed grep xargs cut ls cp mv rm mkdir mktemp rmdir touch ln chmod cmp id uname
    hostname date sleep timeout basename dirname readlink flock setsid unshare nsenter mount umount ip ps pgrep kill stat""".split()
ROOT = "guest"  # in the initramfs; moved into a tmpfs, since nobody can pivot away from an initramfs
START = """
mkdir -p /new && mount -t tmpfs -o mode=755 root /new && cp -a /{root}/. /new && rm -rf /{root}
cd /new && mkdir -p proc sys dev tmp run root var/tmp && chmod 1777 tmp var/tmp
for d in proc sys dev; do mount --rbind /$d $d; done
mount -t tmpfs run run
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --move . /
exec chroot . /usr/bin/env -i PATH=/usr/bin:/usr/sbin HOME=/root LANG=C.UTF-8 COGNU_BUILD={build} COGNU_LOG=warn bash -c 'cd {source}; . {job}'
"""


def install(guest, work, build):
    """Fills the guest's root folder."""
    for link in ("bin", "sbin", "lib", "lib64"):
        guest.link(link, "usr/" + link)
    for name in PROGRAMS:
        guest.program(os.path.realpath(os.path.dirname(shutil.which(name))) + "/" + name)
    for folder in ("bin", "commands"):
        stripped = os.path.join(work, folder)
        shutil.copytree(os.path.join(build, folder), stripped)
        for name in sorted(os.listdir(stripped)):
            subprocess.run(["strip", os.path.join(stripped, name)], check=False, stderr=subprocess.DEVNULL)
            guest.program(os.path.join(stripped, name), os.path.join(build, folder, name))
    guest.tree(os.path.join(SOURCE, "etc"))
    for path in ("scripts/cell", "tests/vm/cell61_job.sh"):
        guest.copy(os.path.join(SOURCE, path))
    for path in ("/etc/passwd", "/etc/group", "/etc/nsswitch.conf"):
        guest.copy(path)


def main():
    vm.need("strip", *PROGRAMS)
    build = vm.ours.build()
    job = os.path.join(HERE, "cell61_job.sh")
    with open(job, encoding="ascii") as f:
        expected = sum(line.lstrip().startswith("check ") for line in f) + 1  # one of them stands in a loop of two
    start = START.format(root=ROOT, build=build, source=SOURCE, job=job)
    with tempfile.TemporaryDirectory(prefix="cognu-cell61-") as work:
        initrd = os.path.join(work, "initrd")
        vmlinuz, modules = vm.kernel()
        with vm.initramfs(initrd, modules, start, MODULES) as archive:
            install(vm.Below(archive, ROOT), work, build)
        begun = time.monotonic()
        text, status = vm.boot(vmlinuz, initrd, BOOT_SECONDS, memory="1G")
    return vm.report(text, status, expected, begun)


if __name__ == "__main__":
    sys.exit(main())
