"""The peers: sshfs against a private sshd, and diod's own tools against a private diod, on loopback, through the delay proxy when there is a delay. Nothing of the system's own
configuration is used. What is started here has a session of its own, so that a ^C reaches the bench alone, which then ends it."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import time

READY_SECONDS = 20
SETTINGS = (
    [],
    ["-o", "Ciphers=aes128-gcm@openssh.com"],
    ["-o", "max_conns=2"],
)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, ready):
    """Polls ready() until it is true."""
    until = time.monotonic() + READY_SECONDS
    while not ready():
        if time.monotonic() > until:
            raise RuntimeError(f"{what} did not come up in {READY_SECONDS} s")
        time.sleep(0.02)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def start_proxy(build, target, rtt_ms):
    """A delay proxy before a port; gives the process and its port."""
    proxy = start([os.path.join(build, "bin", "delayproxy"), "0", str(target), str(rtt_ms)], stdout=subprocess.PIPE, text=True)
    return proxy, int(proxy.stdout.readline())


def start(command, **how):
    return subprocess.Popen(command, start_new_session=True, **how)


def unmount(mount):
    """Unmounts what is mounted, even when it is in use."""
    for options in ("-u", "-uz"):
        if not os.path.ismount(mount):
            return
        subprocess.run(["fusermount3", options, mount], start_new_session=True, stderr=subprocess.DEVNULL, check=False)


def stop(process):
    if process and process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        ticks = f.read().rsplit(")", 1)[1].split()[11:13]
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        switches = sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", f.read())))
    return [int(t) / os.sysconf("SC_CLK_TCK") for t in ticks] + [switches]


def descends(pid, from_pid):
    """Is the one process the other, or below it?"""
    while pid not in (0, from_pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            pid = int(f.read().rsplit(")", 1)[1].split()[1])
    return pid == from_pid


class Sshfs:
    """An sshd and a proxy; settings() are the sides to measure."""

    def __init__(self, build, work, root, rtt_ms):
        self.build, self.root, self.rtt = build, root, rtt_ms
        self.dir = os.path.join(work, f"ssh{rtt_ms}")
        self.sshd = self.proxy = self.port = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        os.makedirs(self.dir)
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.dir}/{key}"], check=True)
        with open(f"{self.dir}/user.pub", encoding="ascii") as pub, open(f"{self.dir}/authorized", "w", encoding="ascii") as out:
            out.write(pub.read())
        port = free_port()
        with open(f"{self.dir}/config", "w", encoding="ascii") as out:
            out.write(f"ListenAddress 127.0.0.1:{port}\nHostKey {self.dir}/host\nAuthorizedKeysFile {self.dir}/authorized\n"
                      f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n"
                      f"Subsystem sftp /usr/lib/openssh/sftp-server\n")
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # sshd will not start without it
        with open(f"{self.dir}/sshd.log", "w", encoding="ascii") as log:
            self.sshd = start(["/usr/sbin/sshd", "-D", "-e", "-f", f"{self.dir}/config"], stderr=log)
        wait_for("sshd", lambda: listens(port))
        self.port = port
        if self.rtt > 0:
            self.proxy, self.port = start_proxy(self.build, port, self.rtt)

    def __exit__(self, *why):
        stop(self.proxy)
        stop(self.sshd)

    def settings(self, quick):
        return [SshfsMount(self, options) for options in (SETTINGS[1:2] if quick else SETTINGS)]


class Diod:
    """A diod and a proxy. Its tools speak 9P2000.L themselves: there is no mount, and nothing is encrypted."""

    COMMANDS = {  # what they can do of a row, in the served folder
        "cat50_cold_50ms": "{diodcat} small50/* > /dev/null",
        "cat5000_0ms": "{diodcat} small5000/* > /dev/null",
        "ls50_50ms": "{diodls} -l small50 > /dev/null",
        "ls5000_0ms": "{diodls} -l small5000 > /dev/null",
        "read_bulk_0ms": "{diodcat} bulk > /dev/null",
    }

    def __init__(self, build, work, root, rtt_ms):
        self.build, self.root, self.rtt = build, root, rtt_ms
        self.log = os.path.join(work, f"diod{rtt_ms}.log")
        self.tools = {name: shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
                      for name in ("diod", "diodcat", "diodls")}
        self.server = self.proxy = self.port = None

    def __enter__(self):
        if not self.there():
            return self
        try:
            port = free_port()
            with open(self.log, "w", encoding="ascii") as log:
                self.server = start([self.tools["diod"], "-f", "-n", "-N", "-c", "/dev/null", "-l", f"127.0.0.1:{port}",
                                     "-e", self.root, "-L", "stderr"], stderr=log)
            wait_for("diod", lambda: listens(port))
            self.port = port
            if self.rtt > 0:
                self.proxy, self.port = start_proxy(self.build, port, self.rtt)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *why):
        stop(self.proxy)
        stop(self.server)

    def there(self):
        return all(self.tools.values())

    def command(self, row):
        """The row's work by its tools; None where they cannot do it, or are not installed."""
        if row not in self.COMMANDS or not self.there():
            return None
        ask = {name: f"{self.tools[name]} -s 127.0.0.1:{self.port} -a {self.root}" for name in ("diodcat", "diodls")}
        return f"cd {self.root} && " + self.COMMANDS[row].format(**ask)


class SshfsMount:
    """One setting of sshfs."""

    def __init__(self, server, options):
        self.server, self.options = server, options

    @contextlib.contextmanager
    def mounted(self):
        mount = os.path.join(self.server.dir, "mount")
        os.makedirs(mount, exist_ok=True)
        ssh = ["-p", str(self.server.port), "-o", f"IdentityFile={self.server.dir}/user", "-o", "StrictHostKeyChecking=no",
               "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-F", "/dev/null"]
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        try:
            subprocess.run(["sshfs", *ssh, *self.options, f"{user}@127.0.0.1:{self.server.root}", mount],
                           start_new_session=True, check=True)
            yield mount
        finally:
            unmount(mount)

    def carriers(self):
        """Pids and names of what carries the mount: its command line names our folder, or the sshd has started it."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read()
                with open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                    name = f.read().strip()
                if self.server.dir.encode() in words or descends(int(pid), self.server.sshd.pid):
                    yield int(pid), name
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has just ended

    def cpu(self):
        """For each process: seconds in user mode, in the kernel, context switches."""
        return {f"{name} {pid}": cpu_of(pid) for pid, name in self.carriers()}

    def round_trips(self):
        return None
