#!/usr/bin/env python3
"""The 9P client of Debian's kernel (v9fs, 9P2000.L over TCP) mounts a tree of ours, in QEMU, and uses it: v9fs_job.sh.

usage: v9fs_test.py [--server hostfs|ramfs|diod]      (diod shows that the rig itself is right)

Prints one line a check, and 'N passed, N failed'; exits with 77 where QEMU or a program for the guest is not installed.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import vm

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
import ours  # noqa: E402

BOOT_SECONDS = 400  # without hardware virtualisation
PROGRAMS = ["/usr/bin/setfattr", "/usr/bin/getfattr", "/usr/bin/flock", "/usr/bin/dd"]  # what busybox lacks


def start_diod(root, port):
    return subprocess.Popen(["diod", "-f", "-n", "-N", "-U", "root", "-l", f"127.0.0.1:{port}", "-e", root, "-c", "/dev/null", "-L", "stderr"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--server", choices=("hostfs", "ramfs", "diod"), default="hostfs")
    args = parser.parse_args()
    vm.need(*PROGRAMS, *(["diod"] if args.server == "diod" else []))
    with open(os.path.join(HERE, "v9fs_job.sh"), encoding="ascii") as f:
        job = f.read()
    expected = sum(line.startswith("check ") for line in job.splitlines())
    with tempfile.TemporaryDirectory(prefix="cognu-v9fs-") as work:
        root = os.path.join(work, "tree")
        files = ours.sample_files()
        if args.server != "ramfs":
            ours.write_files(root, files)
        port = ours.free_port()
        server = start_diod(root, port) if args.server == "diod" else ours.start(args.server, root, port)
        try:
            ours.wait_for_port(port)
            if args.server == "ramfs":
                ours.send_files(port, files)
            aname = {"diod": root, "hostfs": "root", "ramfs": "/"}[args.server]
            mount = f"mount -t 9p {vm.GUEST_HOST} -o trans=tcp,port={port},version=9p2000.L,msize=65536,uname=root,access=any,aname={aname}"
            initrd = os.path.join(work, "initrd")
            vmlinuz, modules = vm.kernel()
            with vm.initramfs(initrd, modules, f"MOUNT='{mount}'\n{job}", [*vm.NETWORK, "9p", "9pnet_fd"]) as archive:
                for program in PROGRAMS:
                    archive.program(program)
            start = time.monotonic()
            text, status = vm.boot(vmlinuz, initrd, BOOT_SECONDS)
        finally:
            ours.stop(server)
        if args.server != "ramfs" and not os.path.exists(os.path.join(root, "d", "moved")):
            text += "CHECK bad the file is on the host\n"
    return vm.report(text, status, expected, start)


if __name__ == "__main__":
    sys.exit(main())
