#!/usr/bin/env python3
"""The 9P client of Debian's kernel (v9fs, 9P2000.L over TCP) mounts a tree of ours, in QEMU, and uses it.

usage: v9fs_test.py [--server ours|diod]      (diod shows that the rig itself is right)

Prints one line a check, and 'N passed, N failed'.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench"))
import peers  # noqa: E402
import vm  # noqa: E402

BOOT_SECONDS = 150
JOB = """
ok() { echo "CHECK ok $*"; }
bad() { echo "CHECK bad $*"; }
mkdir -p /m
mount -t 9p -o trans=tcp,port=%d,version=9p2000.L,msize=65536,uname=root,access=any%s %s /m && ok mounts || bad mounts
[ "$(cat /m/hello)" = "hello from the host" ] && ok reads || bad reads
echo "written by v9fs" > /m/out && sync && ok writes || bad writes
mkdir /m/d && mv /m/out /m/d/moved && [ -f /m/d/moved ] && ok renames || bad renames
ln -s moved /m/d/link && [ "$(cat /m/d/link)" = "written by v9fs" ] && ok symlinks || bad symlinks
chmod 600 /m/d/moved && [ "$(stat -c %%a /m/d/moved)" = 600 ] && ok chmod || bad chmod
[ "$(ls /m/many | wc -l)" = 500 ] && ok lists || bad lists
[ "$(md5sum < /m/big)" = "$(cat /m/big.md5)" ] && ok reads-large || bad reads-large
dd if=/m/big of=/m/copy bs=64k 2> /dev/null && cmp /m/big /m/copy && ok writes-large || bad writes-large
rm /m/copy && [ ! -e /m/copy ] && ok removes || bad removes
rmdir /m/d 2> /dev/null && bad refuses-full-rmdir || ok refuses-full-rmdir
cat /m/none 2> /dev/null && bad refuses-missing || ok refuses-missing
umount /m && ok unmounts || bad unmounts
"""
CHECKS = 13


def prepare(root):
    os.makedirs(os.path.join(root, "many"))
    with open(os.path.join(root, "hello"), "w", encoding="ascii") as f:
        f.write("hello from the host\n")
    for i in range(500):
        with open(os.path.join(root, "many", f"file{i}"), "w", encoding="ascii") as f:
            f.write(str(i))
    data = os.urandom(3 << 20)
    with open(os.path.join(root, "big"), "wb") as f:
        f.write(data)
    md5 = subprocess.run(["md5sum"], input=data, capture_output=True, check=True).stdout
    with open(os.path.join(root, "big.md5"), "wb") as f:
        f.write(md5)


def start_server(kind, build, root, port):
    if kind == "diod":
        return subprocess.Popen(["diod", "-f", "-n", "-N", "-U", "root", "-l", f"127.0.0.1:{port}", "-e", root, "-c", "/dev/null", "-L", "stderr"])
    return subprocess.Popen([os.path.join(build, "bin", "cognu-hostfs"), "--tree", f"root={root}", "--foreign", "--tcp", f"127.0.0.1:{port}"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--server", choices=("ours", "diod"), default="ours")
    args = parser.parse_args()
    build = os.environ.get("COGNU_BUILD", os.path.abspath("build"))
    with tempfile.TemporaryDirectory(prefix="cognu-v9fs-") as work:
        root = os.path.join(work, "tree")
        prepare(root)
        port = peers.free_port()
        server = start_server(args.server, build, root, port)
        try:
            peers.wait_for(args.server, lambda: peers.listens(port))
            vmlinuz, modules = vm.kernel(os.path.join(build, "vm"))
            initrd = os.path.join(work, "initrd")
            aname = f",aname={root}" if args.server == "diod" else ",aname=root"
            job = JOB % (port, aname, vm.GUEST_HOST)
            vm.initramfs(initrd, modules, job, [*vm.NETWORK, "9p", "9pnet_fd"])
            start = time.monotonic()
            text, status = vm.boot(vmlinuz, initrd, BOOT_SECONDS)
        finally:
            peers.stop(server)
        if args.server == "ours" and not os.path.exists(os.path.join(root, "d", "moved")):
            text += "CHECK bad the file is on the host\n"
    lines = [line for line in text.splitlines() if line.startswith("CHECK")]
    for line in lines:
        print(line[6:])
    passed = sum(line.startswith("CHECK ok") for line in lines)
    failed = max(len(lines), CHECKS) - passed
    if failed or status is None:
        print(text)
    print(f"booted and checked in {time.monotonic() - start:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or status is None else 0


if __name__ == "__main__":
    sys.exit(main())
