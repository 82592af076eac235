#!/usr/bin/env python3
"""What a cell does when things break: a delay where the promise is a delay, a clear error where it is an error.

    faults_test.py [WORD...]    only the parts whose name holds a word
"""
import collections
import contextlib
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time

import cell as rig
from cell import ADDRESS, PORT, check, fine, until

DEADLINE = 30  # of an operation, seconds
TERM = 15  # of a lease
BULK = 200 << 20
LINES = 300
HERE = os.path.dirname(os.path.abspath(__file__))


def size(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


# ---- components ----


def lines_ok(what, cell, said, path):
    """Every line that was said to be done is there once; every other at most once."""
    with open(cell.root("beta", path)) as f:
        count = collections.Counter(int(line.split()[1]) for line in f)
    done = [int(line.split()[1]) for line in said.splitlines() if line.startswith("done")]
    failed = [int(line.split()[1]) for line in said.splitlines() if line.startswith("failed")]
    wrong = [n for n in done if count[n] != 1] + [n for n in failed if count[n] > 1]
    check(f"{what}: {len(done)} lines done, {len(failed)} unknown, each where it was said to be",
          done and not wrong, f"wrong {wrong[:10]}; {[x for x in said.splitlines() if 'failed' in x][:3]}")
    return failed


def hostfs_killed(cell):
    a, b = cell.shell(), cell.shell()
    a.do("printf 'first second' >/n/beta/open; exec 3</n/beta/open 4<>/n/beta/rw; head -c 6 <&3 >/dev/null; echo one >&4")
    b.begin("python3 /appender.py /n/beta/lines 600 0.002")
    for _ in range(3):
        time.sleep(0.3)
        cell.kill("beta", "hostfs")
        fine("hostfs of beta killed: reads go on", a.do("cat /n/beta/open"), "first second")
    lines_ok("hostfs of beta killed three times under a writer", cell, b.end().out, "lines")
    fine("an open file is read on where it was", a.do("cat <&3"), "second")
    fine("an open file is written on", a.do("echo two >&4; exec 3<&- 4>&-; cat /n/beta/rw"), "one\ntwo")
    b.begin("for i in $(seq 200); do cat /n/beta/open >/dev/null || echo failed; done")
    time.sleep(0.2)
    cell.kill("beta", "hostfs")
    check("a reader sees a delay and no error", "failed" not in (r := b.end()).out and r.status == 0, r)
    cell.kill("alpha", "hostfs")
    fine("alpha's own hostfs killed: the shell lives, programs are found", a.do("ls / && uname"), "Linux")


def others_killed(cell):
    a = cell.shell()
    a.do("echo kept >/tmp/ram; echo there >/n/beta/tmp/ram; echo v >/env/fault; exec 5</net/tcp/clone; cat <&5 >/tmp/conv")
    for name, probe in (("env", "ls /env"), ("proc", "ls /n/beta/proc | grep -qx 1"), ("net", "ls /n/beta/net | grep tcp"),
                        ("net", "cat /net/ndb >/dev/null; ls /net | grep tcp"), ("srv", "ls /srv"), ("log", "ls /mnt/log"),
                        ("factotum", "ls /n/gamma"), ("dev", "cat /n/beta/dev/time | grep -q [0-9]"), ("exec", "on beta uname")):
        a.do(probe)
        cell.kill("beta", name)
        cell.kill("alpha", name)
        fine(f"{name} killed on both: '{probe}' works", a.do(probe))
    fine("what env had outlives it", a.do("cat /env/fault; echo w >/env/fault; cat /env/fault"), "v\nw")
    a.do("exec 6<>/n/beta/tmp/open; echo one >&6; echo 'beta!ramfs kind=kept' >/n/beta/srv/kept; mkdir /n/beta/tmp/d; "
         "head -c 3000000 /dev/urandom >/n/beta/tmp/d/big; cksum </n/beta/tmp/d/big >/sum")
    for name in ("ramfs", "srv"):
        cell.kill("beta", name)
        cell.kill("alpha", name)
    fine("ramfs killed: its files are there", a.do("cat /n/beta/tmp/ram /tmp/ram; cksum </n/beta/tmp/d/big | cmp - /sum"), "there\nkept")
    fine("an open file of it is written on", a.do("echo two >&6; exec 6>&-; cat /n/beta/tmp/open"), "one\ntwo")
    fine("srv killed: what was posted is there", a.do("cat /n/beta/srv/kept"), "kind=kept")
    fine("and it takes new posts", a.do("rm /n/beta/srv/kept; echo 'beta!ramfs' >/n/beta/srv/kept; cat /n/beta/srv/kept"), "beta!ramfs")


# ---- the gate ----


def kill_gates_when(cell, path, at):
    """Kills alpha's gate when the file has at[0] bytes, beta's when it has at[1]; how many of them met a copy under way."""
    hits = 0
    for node, limit in zip(("alpha", "beta"), at):
        end = time.monotonic() + 20
        while size(path) < limit and time.monotonic() < end:
            time.sleep(0.0005)
        os.kill(cell.pid(node, "gate"), signal.SIGKILL)
        hits += size(path) < BULK
    return hits


def gate_killed(cell):
    a, b = cell.shell(), cell.shell()
    a.do(f"head -c {BULK} /dev/urandom >/src")
    b.begin(f"python3 /appender.py /n/beta/gated {LINES} 0.01")
    a.begin("cp /src /n/beta/copy")
    hits = kill_gates_when(cell, cell.root("beta", "copy"), (20 << 20, 60 << 20))
    fine("both gates killed under a copy of 200 MB to beta: it completes", a.end(90))
    check("they were killed in the middle of it", hits == 2, hits)
    fine("checksums are equal", a.do("cmp /src /n/beta/copy", 90))
    a.begin("cp /n/beta/copy /back")
    hits = kill_gates_when(cell, cell.root("alpha", "back"), (20 << 20, 60 << 20))
    fine("both gates killed under a copy of 200 MB from beta: it completes", a.end(90))
    check("they were killed in the middle of it", hits == 2, hits)
    fine("checksums are equal", a.do("cmp /src /back", 90))
    said = b.end(90).out
    check("no append failed meanwhile", not lines_ok("gates killed under an appender", cell, said, "gated"))
    a.do("echo seen >/n/beta/first")
    looks = []
    for _ in range(4):
        os.kill(cell.pid("beta", "gate"), signal.SIGKILL)
        looks.append(cell.run("gamma", "cat /n/beta/first || why"))
    check("the first look at a node whose gate has just died waits for the next one", all(r.stdout == "seen\n" for r in looks),
          [(r.stdout, r.stderr) for r in looks])
    a.do("rm -f /src /back /n/beta/copy", 60)


# ---- stopped ----


def stopped(cell):
    a, b, g, w = cell.shell(), cell.shell(), cell.shell("gamma"), cell.shell("beta")
    a.do("echo slow >/n/beta/slow; echo leased >/n/beta/leased; echo g >/n/gamma/g")
    cell.run("gamma", "cat /n/beta/leased")
    r = w.do("echo again >/leased")
    check("a namespace that has ended delays no writer", r.status == 0 and r.seconds < 2, r)
    g.do("cat /n/beta/leased")
    adapter, server = cell.pid("gamma", "fuse"), cell.pid("beta", "hostfs")
    os.kill(adapter, signal.SIGSTOP)
    w.begin("echo written >/leased")  # by beta itself, with gamma's lease in the way
    wait = w.end(TERM + 5)
    check(f"a stopped holder of a lease delays a writer by {wait.seconds:.1f} s, at most one term",
          wait.status == 0 and wait.seconds < TERM + 2, wait)
    os.kill(adapter, signal.SIGCONT)
    fine("continued, it reads what was written", g.do("sleep 0.3; cat /n/beta/leased", 40), "written")

    os.kill(server, signal.SIGSTOP)
    b.begin("cat /n/beta/slow")
    time.sleep(0.5)
    check("a stopped hostfs: cat waits", b.waits())
    fine("others do not", a.do("ls / >/dev/null; cat /n/gamma/g; ls /n/beta/tmp", 5), "g")
    b.interrupt()
    r = b.end(5)
    check("^C ends it at once", r.status == 130, r)
    b.begin("cat /n/beta/slow")
    time.sleep(0.5)
    os.kill(server, signal.SIGCONT)
    fine("continued, the read goes on", b.end(5), "slow")


# ---- nodes and links ----


def timed(line):
    """Runs it, and says what it took and why it failed."""
    return f's=${{EPOCHREALTIME/./}}; {line} && echo succeeded; e=${{EPOCHREALTIME/./}}; echo "took $((e - s))"; why'


def failed_in_time(what, shell):
    r = shell.end(DEADLINE * 3)
    took = re.search(r"took (\d+)", r.out)
    seconds = int(took[1]) / 1e6 if took else 0
    check(f"{what}: fails after {seconds:.1f} s", took and "succeeded" not in r.out and seconds < DEADLINE + 5, r)
    why = r.out.rpartition("\n")[2]
    check(f"{what}: why says '{why}'", re.search(r"beta|gamma", why), r)


def node_killed(cell):
    a, b, c, d = cell.shell(), cell.shell(), cell.shell(), cell.shell()
    a.do("echo b >/n/beta/b; echo g >/n/gamma/g; exec 3</n/beta/b", 40)
    d.do("ls /n/beta")
    cell.link("gamma", "down")
    os.kill(cell.init("beta"), signal.SIGKILL)
    until(lambda: cell.script("status").stdout.count("stopped") == 1, 5)
    a.begin(timed("cat /n/beta/other"))
    b.begin(timed("ls /n/gamma/proc"))
    d.begin("cat /n/beta/again")
    time.sleep(1)
    waited = d.waits()
    d.interrupt()
    r = d.end(3)
    check("^C ends a read from a dead node at once", waited and r.status == 130, r)
    fine("the rest of alpha goes on", c.do("ls / >/dev/null && cat /proc/self/comm && ls /n/alpha >/dev/null && on alpha uname", 10),
         "Linux")
    fine("nodes tells", c.do("nodes", 5))
    failed_in_time("a read from a dead node", a)
    failed_in_time("a read over a link that is down", b)
    cell.link("gamma", "up")
    cell.script("up")
    fine("the node is up again: the same shell reads after a moment", a.do("until cat /n/beta/b; do sleep 1; done", 40), "b")
    fine("and writes", a.do("echo more >>/n/beta/b; cat /n/beta/b", 40), "b\nmore")
    fine("and a file that was open", a.do("cat <&3", 40), "b")
    fine("the link is up again: the same shell reads", b.do("cat /n/gamma/g", 40), "g")


def link_down(cell):
    a, b, c = cell.shell(), cell.shell(), cell.shell()
    cell.shell("beta").do("mkdir -p /far; head -c 300000 /dev/zero >/far/one; head -c 300000 /dev/zero >/far/two")
    a.do("echo g >/n/gamma/g; exec 4<>/n/beta/one", 40)
    b.do("ls /n/beta >/dev/null")
    cell.link("beta", "down")
    a.begin("wc -c /n/beta/far/one; echo more >&4; cat /n/beta/one")
    b.begin("cat /n/beta/far/two")
    time.sleep(3)
    check("a link down: reads wait", a.waits() and b.waits())
    b.interrupt()
    r = b.end(3)
    check("^C ends a blocked cat at once", r.status == 130, r)
    fine("other mounts are not affected", c.do("cat /n/gamma/g; ls / >/dev/null", 5), "g")
    time.sleep(4)
    cell.link("beta", "up")
    r = a.end(DEADLINE)
    fine(f"the link came back after 7 s: it goes on, after {r.seconds:.1f} s in all", r, "300000 /n/beta/far/one\nmore")


def moved(cell):
    a, g = cell.shell(), cell.shell("gamma")
    a.do("echo before >/n/beta/moving; exec 3<>/n/beta/moving; head -n1 <&3")
    g.do("cat /n/beta/moving")
    new = "10.77.0.99"
    cell.in_node("beta", "ip", "address", "del", ADDRESS["beta"] + "/24", "dev", "eth0")
    cell.in_node("beta", "ip", "address", "add", new + "/24", "dev", "eth0")
    r = a.do("echo after >&3; cat /n/beta/moving", 40)
    fine(f"beta moves, nobody is told: the session resumes, {r.seconds:.1f} s, and an open file works", r, "before\nafter")
    fine("a third node finds it by the roster", g.do("cat /n/beta/moving", 40), "after")
    b = cell.shell("beta")
    fine("and it finds the others", b.do("ls /n/alpha/home", 40))
    cell.kill("beta", "gate")
    fine("a gate that begins after the move leaves it so", a.do("echo again >&3; cat /n/beta/moving; cat /mnt/gate/nodes", 40), new)
    cell.in_node("beta", "ip", "address", "del", new + "/24", "dev", "eth0")
    cell.in_node("beta", "ip", "address", "add", ADDRESS["beta"] + "/24", "dev", "eth0")
    fine("back where it was, the open file goes on", a.do("echo last >&3; exec 3>&-; cat /n/beta/moving", 60), "again\nlast")
    fine("for others too", g.do("cat /n/beta/moving", 40), "last")


# ---- what is scarce ----


def disk_full(cell):
    """gamma's tree is a file system of 8 MB: mounted where its init sees it, then taken by a new hostfs."""
    a = cell.shell()
    cell.in_node("gamma", "mount", "-t", "tmpfs", "-o", "size=8m", "none", "/var/lib/cognu/root")
    cell.kill("gamma", "hostfs")
    fine("gamma has a small disk", a.do("echo kept >/n/gamma/kept; df /n/gamma | tail -1", 40), "8192")
    r = a.do("head -c 20000000 /dev/zero >/n/gamma/big")
    check("a full disk: the writer is told ENOSPC", r.status != 0 and "No space left" in r.out, r)
    r = a.do("cp /bin/bash /n/gamma/bash; why")
    check("why names it", "No space left" in r.out and re.search("gamma|space", r.out.splitlines()[-1]), r)
    fine("nothing else is lost", a.do("cat /n/gamma/kept"), "kept")
    fine("with room again, writing works", a.do("rm -f /n/gamma/big /n/gamma/bash; echo more >>/n/gamma/kept; cat /n/gamma/kept"), "more")
    r = a.do("echo x >/n/beta/host/etc/x; why")
    check("a read-only tree: EROFS, and why", "Read-only file system" in r.out, r)
    r = a.do("touch /usr/bin/x; chmod 600 /etc/passwd; rm /bin/sh; why")
    check("so are /usr, /etc, /bin", r.out.count("Read-only file system") >= 3, r)
    cell.in_node("gamma", "umount", "--lazy", "/var/lib/cognu/root")
    cell.kill("gamma", "hostfs")


def no_descriptors(cell):
    a = cell.shell()
    a.do("mkdir -p /n/beta/many; for i in $(seq 60); do echo $i >/n/beta/many/$i; done; ls /n/beta/many")
    pid = cell.pid("beta", "hostfs")
    used = len(os.listdir(f"/proc/{pid}/fd"))
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 4, old[1]))
    r = a.do("n=10; while [ $n -lt 60 ] && eval \"exec $n<>/n/beta/many/$n\"; do n=$((n+1)); done; echo opened $n; why")
    check("without descriptors opens fail clearly", re.search("opened [1-5]", r.out) and "opened 60" not in r.out, r)
    check("and why names it", re.search("descriptor|files", r.out.splitlines()[-1] if r.out else ""), r)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
    fine("with descriptors again all is there", a.do("for i in $(seq 60); do cat /n/beta/many/$i; done | tail -1"), "60")


def no_memory(cell):
    """Memory that a server may not have: its answers say so, and with memory again it works."""
    a = cell.shell()
    a.do("head -c 8000000 /dev/urandom >/n/beta/heavy; for i in $(seq 40); do head -c 200000 /dev/zero >/n/beta/heavy.$i; done", 60)
    pid = cell.pid("beta", "hostfs")
    old = resource.prlimit(pid, resource.RLIMIT_DATA)
    with open(f"/proc/{pid}/status") as f:
        used = int(re.search(r"VmData:\s+(\d+)", f.read())[1]) << 10
    resource.prlimit(pid, resource.RLIMIT_DATA, (used, old[1]))
    a.begin("for i in $(seq 40); do cksum /n/beta/heavy.$i >/dev/null & done; wait; cksum /n/beta/heavy; why")
    time.sleep(1)
    resource.prlimit(pid, resource.RLIMIT_DATA, old)
    r = a.end(60)
    check("without memory a server delays or refuses, and says why", r.status == 0 and ("memory" in r.out or "heavy" in r.out), r)
    fine("with memory again all is there", a.do("cat /n/beta/heavy.* | wc -c", 60), str(40 * 200000))
    check("it did not die of it", cell.pid("beta", "hostfs") == pid)
    r = a.do("head -c 400000000 /dev/zero >/tmp/full; why; rm -f /tmp/full", 90)
    check("ramfs that is full says so", "No space left" in r.out and "ramfs is full" in r.out, r)
    cell.kill("alpha", "ramfs")  # a fid that the cache holds may keep a removed file: it goes with the session
    fine("with room again it works", a.do("echo after >/tmp/after; cat /tmp/after"), "after")
    r = a.do("v=$(head -c 65000 /dev/zero | tr '\\0' x); i=0; while [ $i -lt 1500 ] && echo \"$v\" >/env/big.$i; do i=$((i+1)); done; why; "
             "rm -f /env/big.*; echo v >/env/after; cat /env/after", 90)
    check("env that is full says so", "environment is full" in r.out and r.out.endswith("v"), r.out[-300:])


def any_killed(cell):
    """Any component of any node, at any moment, under load: what was said to be done is done, once."""
    seed = int(os.environ.get("COGNU_SEED", "0")) or int.from_bytes(os.urandom(3), "little")
    print(f"# replay with COGNU_SEED={seed}", flush=True)
    chance = random.Random(seed)
    a, b, c = cell.shell(), cell.shell(), cell.shell("gamma")
    a.begin("python3 /appender.py /n/beta/any 600 0.02")
    b.begin("for i in $(seq 30); do head -c 300000 /dev/urandom >/tmp/some && cp /tmp/some /n/gamma/tmp/some && "
            "cmp /tmp/some /n/gamma/tmp/some || echo trouble; sleep 0.2; done")
    c.begin("for i in $(seq 200); do ls /n/alpha/ /n/beta/ >/dev/null; cat /n/beta/any >/dev/null; sleep 0.05; done")
    names = ("hostfs", "ramfs", "env", "srv", "proc", "net", "dev", "log", "metrics", "factotum", "gate", "fuse")
    for _ in range(30):
        time.sleep(chance.uniform(0.05, 0.6))
        node, name = chance.choice(list(ADDRESS)), chance.choice(names)
        with contextlib.suppress(ProcessLookupError, RuntimeError):
            os.kill(cell.pid(node, name), signal.SIGKILL)
    lines_ok("thirty kills of anything anywhere", cell, a.end(120).out, "any")
    check("copies meanwhile end", (r := b.end(120)).status == 0, r)
    check("and listings", (r := c.end(120)).status == 0, r)
    for node in ADDRESS:
        r = cell.run(node, f"echo alive >/tmp/alive; cat /tmp/alive /appender.py >/dev/null && ls /n/{node} >/dev/null && echo fine")
        check(f"{node} is whole", "fine" in r.stdout, (r.stdout, r.stderr))


# ---- who may not ----


def strangers(cell):
    work = cell.work
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", f"{work}/key", "-out", f"{work}/cert",
                    "-subj", "/CN=stranger", "-days", "1"], check=True, capture_output=True)
    before = len(cell.log("beta", "gate"))
    ask = ["openssl", "s_client", "-connect", f"{ADDRESS['beta']}:{PORT}", "-alpn", "9p-ng", "-tls1_3", "-quiet"]
    enter = cell.entering(cell.init("alpha"), ["-n"])
    for what, more in (("a key that is in no roster", ["-cert", f"{work}/cert", "-key", f"{work}/key"]), ("no key at all", [])):
        got = subprocess.run([*enter, *ask, *more], input=b"service hostfs\n", capture_output=True, timeout=30, check=False)
        check(f"{what} is refused", not got.stdout.startswith(b"ok"), got.stdout[:100])
    got = subprocess.run([*enter, sys.executable, "-c", f"""
import socket
s = socket.create_connection(("{ADDRESS['beta']}", {PORT}), 5)
s.sendall(b"\\x13\\0\\0\\0\\x64\\xff\\xff\\0\\0\\1\\0\\6\\0" + b"9P2000")
s.settimeout(5)
print(s.recv(100))"""], capture_output=True, timeout=30, check=False)
    check("9P without TLS is not answered", b"9P2000" not in got.stdout, got.stdout)
    said = cell.log("beta", "gate")[before:]
    check("refusals are in the log", re.search("refus|handshake|unpaired|roster", said), said[-300:])

    g = cell.shell("gamma")
    fine("a user of the roster is served", g.do("cat /n/beta/marked || echo none >/n/beta/marked"))
    cell.run("alpha", "echo removeuser owner@gamma >/mnt/gate/ctl")
    until(lambda: "owner@gamma" not in open(f"{cell.state}/beta/roster/roster").read(), 10)
    other = cell.shell("gamma")
    before = len(cell.log("beta", "hostfs"))
    r = other.do("cat /n/beta/marked; why", 40)
    check(f"a user who is in no roster is refused: {r.out.splitlines()[-1] if r.out else ''}",
          re.search("denied|not permitted", r.out), r)
    said = cell.log("beta", "hostfs")[before:]
    check("that is in the log", "refused" in said, said)


def wire_is_dark(cell):
    a = cell.shell()
    marker = "MARKER-THAT-NOBODY-SHALL-SEE"
    seen = f"{cell.work}/frames"
    with open(seen, "wb") as out:  # by a tap on the hub, where every frame between nodes passes
        tap = subprocess.Popen([*cell.entering(cell.hub(), ["-n"]), sys.executable, f"{HERE}/capture.py"], stdout=out,
                               stderr=subprocess.PIPE)
        try:
            tap.stderr.readline()
            text = f"for i in $(seq 200); do echo {marker}; done"
            fine("a file with a marker is written and read",
                 a.do(f"{text} >/n/beta/{marker}; {text} | cmp - /n/beta/{marker} && on beta cat /{marker} | cmp - /n/beta/{marker}"))
            cell.enter(cell.init("alpha"), ["-n"], [sys.executable, "-c", f"""
import socket
with socket.create_connection(("{ADDRESS['beta']}", {PORT}), 5) as s:
    s.sendall(b"control: seen in the clear")"""])
            until(lambda: b"seen in the clear" in open(seen, "rb").read(), 5)
        finally:
            tap.terminate()
            tap.wait()
            tap.stderr.close()
    with open(seen, "rb") as f:
        frames = f.read()
    check(f"the tap sees what goes in the clear, among {len(frames)} bytes", b"seen in the clear" in frames)
    check("the marker is nowhere on the wire", marker.encode() not in frames and b"NOBODY" not in frames)


def escapes(cell):
    """Nothing outside of beta's tree is ever seen through /n/beta."""
    a, w = cell.shell(), cell.shell("beta")
    canary = os.path.join(cell.state, "beta", "canary")
    with open(canary, "w") as f:
        f.write("CANARY\n")
    with open(os.path.join(cell.state, "beta", "root", "inside"), "w") as f:
        f.write("inside\n")
    a.do("mkdir -p /n/beta/esc/d/e; echo own >/canary; ln -s /canary /n/beta/esc/abs; ln -s ../../../../canary /n/beta/esc/up;"
         " ln -s /var/lib/cognu/canary /n/beta/esc/state; ln -s .. /n/beta/esc/d/parent")
    r = a.do("cat /n/beta/esc/abs")
    fine("an absolute link is the client's to follow", r, "own")
    r = a.do("cat /n/beta/esc/up /n/beta/esc/state /n/beta/../beta/../../canary /n/beta/../../canary")
    check("'..' leads up the client's namespace, no further", "CANARY" not in r.out and "own" in r.out, r)
    r = a.do("cat /n/beta/esc/d/parent/../../../../../../canary; ls /n/beta/..")
    check("and out of /n/beta is /n", "CANARY" not in r.out and "gamma" in r.out, r)
    w.begin("end=$((SECONDS+4)); while [ $SECONDS -lt $end ]; do mv /esc/d/e /esc/e; ln -sfn /var/lib/cognu /esc/d/e;"
            " rm /esc/d/e; ln -sfn ../../.. /esc/d/e; rm /esc/d/e; mv /esc/e /esc/d/e; done; echo raced")
    r = a.do("end=$((SECONDS+4)); n=0; while [ $SECONDS -lt $end ]; do cat /n/beta/esc/d/e/canary /n/beta/esc/d/e/../../canary"
             " /n/beta/esc/d/e/../../../../canary; n=$((n+1)); done 2>/dev/null; echo tried $n")
    raced = w.end()
    tried = re.search(r"tried (\d+)", r.out)
    check("a race of renames, links and reads ran", tried and int(tried[1]) > 20 and "raced" in raced.out, (r.out[-80:], raced))
    check("and never a file outside of the tree", "CANARY" not in r.out)
    host = cell.shell()
    r = host.do("ls /n/beta/host/; cat /n/beta/host/../canary /n/beta/host/var/lib/cognu/canary; ls /n/beta/proc/1/root/ /n/beta/proc/1/cwd/")
    check("nor through its other trees", "CANARY" not in r.out and "canary" not in r.out.replace("host/../canary", "").replace(
        "cognu/canary", ""), r)


# ---- the adapter, and the end ----


def adapter_killed(cell):
    """A successor goes on: what runs in the namespaces sees a delay."""
    a, b, other = cell.shell(), cell.shell(), cell.shell("beta")
    a.do("mkdir -p /n/beta/adopt; cd /n/beta/adopt; echo one >held; exec 3<>held 4<held; head -c 2 <&4 >/dev/null; echo v >/tmp/t; "
         "head -c 30000000 /dev/urandom >/src")
    cell.kill("alpha", "fuse")
    fine("the adapter killed: an idle shell goes on", a.do("pwd; cat <&4; echo two >&3; cat held /tmp/t", 20), "/n/beta/adopt\ne\ntwo\nv")
    b.begin("python3 /appender.py /n/beta/adopt/lines 300 0.004")
    a.begin("cp /src big && cmp /src big && echo same")
    for _ in range(3):
        time.sleep(0.3)
        cell.kill("alpha", "fuse")
    fine("a copy goes on over three more", a.end(90), "same")
    lines_ok("the adapter killed three times under an appender", cell, b.end(60).out, "adopt/lines")
    b.begin("python3 /appender.py /n/beta/adopt/more 300 0.004")
    for name in ("fuse", "gate", "fuse"):
        time.sleep(0.3)
        cell.kill("alpha", name)
    lines_ok("adapter and gate killed in turn under an appender", cell, b.end(60).out, "adopt/more")
    fine("what was bound stays bound", b.do("mkdir -p /bound; bind /n/beta/adopt /bound; ns | tail -1; ls /bound"), "lines")
    cell.kill("alpha", "fuse")
    fine("over a kill, too", b.do("ls /bound; ns | tail -1; on beta uname"), "Linux")
    fine("other nodes' are not affected", other.do("ls /"))
    fine("a new shell works", cell.shell().do("ls /n/beta >/dev/null && echo fine", 40), "fine")


def gone(cell):
    inits = [cell.init(n) for n in ADDRESS] + [cell.hub()]
    below = [p for i in inits for p in rig.children(i)] + inits
    for shell in cell.shells:
        shell.close()
    cell.shells.clear()
    got = cell.script("down", good=False)
    check("the cell goes down", got.returncode == 0 and not got.stderr, got.stderr)
    left = [p for p in below if rig.program(p).rpartition("/")[2].startswith(("cognu-", "sleep"))]
    check("no process is left", not left, [(p, rig.program(p), rig.comm(p)) for p in left])
    with open("/proc/self/mountinfo") as f:
        check("no mount is left", cell.state not in f.read())
    check("no interface is left", not any(n.startswith(("to-", "cell0")) for n in os.listdir("/sys/class/net")))


PARTS = [hostfs_killed, others_killed, gate_killed, stopped, link_down, node_killed, moved, disk_full, no_descriptors, no_memory,
         strangers, wire_is_dark, escapes, adapter_killed, any_killed]


def prepare(cell):
    for node in ADDRESS:
        with open(cell.root(node, "appender.py"), "w") as f, open(f"{HERE}/appender.py") as source:
            f.write(source.read())


if __name__ == "__main__":
    sys.exit(rig.test(PARTS, before=prepare, after=gone))
