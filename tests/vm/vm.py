"""Boots Debian's kernel in QEMU with an initramfs made here, and gives what it printed on its serial line.

The kernel package is fetched by apt into a cache folder and unpacked there; nothing is installed. The initramfs holds busybox, the
named modules with what they depend on, the named programs with their libraries, and an init script. No root is needed.
"""
import contextlib
import gzip
import os
import re
import shutil
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import ours  # noqa: E402

GUEST_HOST = "10.0.2.2"  # the host's loopback, as QEMU's user network shows it
NETWORK = ["virtio_net", "virtio_pci"]
DONE = "VM-DONE"
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run /root
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mkdir -p /dev/pts /dev/shm
/bin/busybox mount -t devpts devpts /dev/pts
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox mount -t tmpfs run /run
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
/bin/busybox --install -s /bin
for m in $(cat /modules.order); do insmod /modules/$m || echo "insmod $m failed"; done
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up 2> /dev/null && route add default gw 10.0.2.2
echo VM-START
sh /job
echo "%s status $?"
poweroff -f
""" % DONE


def need(*programs):
    """Ends the test as skipped when a machine cannot be had here, or a program is not there."""
    ours.need("qemu-system-x86_64", "busybox", "apt-get", "dpkg-deb", *programs)


def kernel(cache=None):
    """(vmlinuz, folder of modules) of Debian's current kernel package."""
    cache = cache or os.path.join(ours.build(), "vm")
    os.makedirs(cache, exist_ok=True)
    text = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True, text=True, check=True).stdout
    package = re.search(r"Depends: (linux-image-\S+)", text).group(1)
    root = os.path.join(cache, package)
    if not os.path.isdir(root):
        subprocess.run(["apt-get", "download", package], cwd=cache, check=True, stdout=subprocess.DEVNULL)
        deb = next(f for f in os.listdir(cache) if f.startswith(package + "_") and f.endswith(".deb"))
        shutil.rmtree(root + ".new", ignore_errors=True)
        subprocess.run(["dpkg-deb", "-x", deb, root + ".new"], cwd=cache, check=True)
        os.rename(root + ".new", root)
        os.unlink(os.path.join(cache, deb))
    version = package[len("linux-image-"):]
    modules = next(m for m in (f"lib/modules/{version}", f"usr/lib/modules/{version}") if os.path.isdir(os.path.join(root, m)))
    return os.path.join(root, "boot", f"vmlinuz-{version}"), os.path.join(root, modules)


def module_files(folder, wanted):
    """Paths of the modules, each after those that it depends on; those built in are skipped."""
    where = {}
    for base, _, files in os.walk(folder):
        for name in files:
            if name.endswith(".ko"):
                where[name[:-3].replace("-", "_")] = os.path.join(base, name)
    order = []

    def add(name):
        path = where.get(name.replace("-", "_"))
        if path is None or path in order:
            return
        with open(path, "rb") as f:
            found = re.search(rb"\0depends=([^\0]*)\0", f.read())
        for dependency in found.group(1).decode().split(",") if found else []:
            if dependency:
                add(dependency)
        order.append(path)

    for name in wanted:
        add(name)
    return order


def libraries(program):
    """Shared libraries of a program, and its loader."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/\S+) \(0x", out)


class Archive:
    """A cpio archive of the kernel's kind (newc)."""

    def __init__(self):
        self.out, self.ino, self.seen = bytearray(), 0, set()

    def entry(self, name, mode, data=b"", rdev=(0, 0)):
        self.ino += 1
        fields = [self.ino, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0]
        self.out += b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0"
        self.out += b"\0" * (-len(self.out) % 4) + data
        self.out += b"\0" * (-len(self.out) % 4)

    def folder(self, name):
        parts = name.strip("/").split("/")
        for i in range(1, len(parts) + 1):
            path = "/".join(parts[:i])
            if path and path not in self.seen:
                self.seen.add(path)
                self.entry(path, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o755):
        name = name.strip("/")
        if name in self.seen:
            return
        self.folder(os.path.dirname(name))
        self.seen.add(name)
        self.entry(name, stat.S_IFREG | mode, data)

    def copy(self, source, name=None):
        with open(source, "rb") as f:
            self.file(name or source, f.read(), os.stat(source).st_mode & 0o777)

    def program(self, source):
        for path in (source, *libraries(source)):
            self.copy(os.path.realpath(path), path)

    def link(self, name, target):
        name = name.strip("/")
        if name not in self.seen:
            self.folder(os.path.dirname(name))
            self.seen.add(name)
            self.entry(name, stat.S_IFLNK | 0o777, target.encode())

    def bytes(self):
        self.entry("TRAILER!!!", 0)
        return gzip.compress(bytes(self.out), 1)


class Below:
    """A folder of an archive as a root of its own, in which paths are as they are here."""

    def __init__(self, archive, folder):
        self.archive, self.folder = archive, folder

    def copy(self, source, name=None):
        name = name or source
        real = os.path.join(os.path.realpath(os.path.dirname(name)), os.path.basename(name))  # /lib may be /usr/lib
        self.archive.copy(os.path.realpath(source), self.folder + real)

    def program(self, source, name=None):
        self.copy(source, name)
        for library in libraries(source):
            self.copy(library)

    def link(self, name, target):
        self.archive.link(self.folder + "/" + name, target)

    def tree(self, source):
        for base, _, names in os.walk(source):
            for name in names:
                self.copy(os.path.join(base, name))


@contextlib.contextmanager
def initramfs(path, module_folder, job, modules=()):
    """An archive to be filled, with busybox, the modules, and an init that runs the job; written at the end."""
    archive = Archive()
    for folder in ("proc", "sys", "dev", "tmp", "run", "root", "bin", "sbin"):
        archive.folder(folder)
    archive.entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))
    archive.copy(shutil.which("busybox"), "bin/busybox")
    archive.file("init", INIT.encode())
    archive.file("job", job.encode())
    order = module_files(module_folder, list(modules))
    for module in order:
        archive.copy(module, "modules/" + os.path.basename(module))
    archive.file("modules.order", "\n".join(os.path.basename(m) for m in order).encode() + b"\n", 0o644)
    yield archive
    with open(path, "wb") as f:
        f.write(archive.bytes())


def report(text, status, expected, start):
    """Prints the lines CHECK ok and CHECK bad of what a job said, and the sum; gives the exit status."""
    lines = [line for line in text.splitlines() if line.startswith("CHECK")]
    for line in lines:
        print(line[6:])
    passed = sum(line.startswith("CHECK ok") for line in lines)
    failed = max(len(lines), expected) - passed
    if failed or status is None:
        print(text)
    print(f"booted and checked in {time.monotonic() - start:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or status is None else 0


def boot(vmlinuz, initrd, seconds, memory="1G", echo=False):
    """Runs the machine until its job is done; gives (printed text, exit status of the job, or None when time ran out)."""
    command = ["setpriv", "--pdeathsig", "KILL",  # it ends with us, however we end
               "qemu-system-x86_64", "-kernel", vmlinuz, "-initrd", initrd, "-m", memory, "-smp", "2", "-nographic", "-no-reboot",
               "-nic", "user,model=virtio-net-pci", "-append", "console=ttyS0 quiet panic=-1 rdinit=/init"]
    run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out, _ = run.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        out, _ = run.communicate()
    text = out.decode(errors="replace").replace("\r", "")
    if echo:
        sys.stderr.write(text)
    done = re.search(DONE + r" status (\d+)", text)
    return text[text.find("VM-START"):], int(done.group(1)) if done else None
