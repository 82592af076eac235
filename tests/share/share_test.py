#!/usr/bin/env python3
"""What the nodes of a cell lend one another: tickets, exports, the caller's tree at /mnt/term, who may run commands.

    share_test.py [WORD...]    only the parts whose name holds a word
"""
import os
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
import cell as rig  # noqa: E402
from cell import check, fails, fine, until  # noqa: E402


def carry(shell, name, node):
    """A file into another node's tree, by the cell itself: what the host does there is seen a little later."""
    fine(f"{name} goes to {node}", shell.do(f"cp /{name} /n/{node}/{name}"))


def ticket(a, name, words, node="beta"):
    """Alpha's owner makes a ticket for a user of another node and carries it there."""
    fine(f"alpha makes a ticket ({words})", a.do(f"ticket make {words} >/{name}"))
    carry(a, name, node)


# ---- tickets ----


def tickets_used(cell):
    a, b, c = cell.shell(), cell.shell("beta"), cell.shell("gamma")
    a.do("mkdir -p /tk/in /tk/other; echo inside >/tk/in/f; echo outside >/tk/other/f; ln -s ../other/f /tk/in/link")
    ticket(a, "t-read", "-t 1h owner@beta alpha!hostfs!root /tk/in")
    shown = a.do("ticket show /t-read")
    fine("ticket show tells whom", shown, "owner to owner@beta")
    fine("ticket show tells what", shown, "alpha!hostfs!root")
    fine("ticket show tells where", shown, "path     /tk/in\n")
    fine("ticket show tells the rights", shown, "rights   rx\n")
    fine("beta mounts it", b.do("mkdir -p /m1; mount -k /t-read 'alpha!hostfs!root' /m1"))
    fine("and reads", b.do("cat /m1/f"), "inside")
    fails("it gives no right to write", b.do("echo x >/m1/f"), "not permitted")
    fails("nor to make files", b.do("touch /m1/new"), "not permitted")
    check("nothing was made", not os.path.exists(cell.root("alpha", "tk/in/new")))
    check("the root is the ticket's path", b.do("cat /m1/../m1/f; ls /m1").out.split() == ["inside", "f", "link"])
    fails("a symbolic link out of it leads nowhere", b.do("cat /m1/link"), "No such file")
    fine("import takes a ticket", b.do("mkdir -p /m2; import -k /t-read alpha /tk/in /m2; cat /m2/f"), "inside")
    fails("import says what the ticket is for", b.do("import -k /t-read alpha /tk /m2"), "is for /tk/in")
    fine("the namespace's text replays it",
         b.do("ns >/tmp/tk.ns; newns -c -f /tmp/tk.ns cat /m1/f"), "inside")
    carry(a, "t-read", "gamma")
    c.do("mkdir -p /m1; mount -k /t-read 'alpha!hostfs!root' /m1")
    fails("another holder is refused", c.do("cat /m1/f 2>/dev/null || { why; false; }"), "signature does not fit")
    c.do("mkdir -p /m9; mount -k /t-read 'alpha!log' /m9")
    for tree, says in (("alpha!hostfs!host", "the ticket is for hostfs!root"), ("alpha!log", "the ticket is for hostfs!root"),
                       ("gamma!hostfs!root", "another node")):
        name = tree.replace("!", "-")
        b.do(f"mkdir -p /m-{name}; mount -k /t-read '{tree}' /m-{name}")
        fails(f"it opens no {tree}", b.do(f"ls /m-{name} >/dev/null 2>&1 || {{ why; false; }}"), says)
    fails("no ticket is used at home", a.do("mkdir -p /m3; mount -k /t-read '.!hostfs!root' /m3; "
                                            "ls /m3 2>/dev/null || { why; false; }"), "another node")
    fails("rubbish is no ticket", b.do("echo zz >/tmp/z; mount -k /tmp/z 'alpha!hostfs!root' /m1"), "no ticket")
    check("a refusal is logged", until(lambda: "attach refused" in cell.log("alpha", "hostfs")))


def tickets_narrowed(cell):
    a, b, c = cell.shell(), cell.shell("beta"), cell.shell("gamma")
    a.do("mkdir -p /nr/sub; echo top >/nr/f; echo low >/nr/sub/f")
    ticket(a, "n-wide", "-g -r rwx owner@beta alpha!hostfs!root /nr")
    fine("beta uses it to write", b.do("mkdir -p /n1; mount -c -k /n-wide 'alpha!hostfs!root' /n1; echo beta >/n1/b; sync; cat /n1/b"), "beta")
    fine("beta narrows it for gamma", b.do("ticket narrow -r r -t 10m owner@gamma /n-wide /nr/sub >/n-low"))
    carry(b, "n-low", "gamma")
    fine("gamma reads by the narrowed one", c.do("mkdir -p /n1; mount -k /n-low 'alpha!hostfs!root' /n1; cat /n1/f"), "low")
    fails("it gives less", c.do("echo x >/n1/f"), "not permitted")
    fails("more rights are refused", b.do("ticket narrow -r rwx owner@gamma /n-low"), "does not hold")
    fails("a final one is not handed on", c.do("ticket narrow -r r owner@beta /n-low"), "may not be handed on")
    a.do("ticket make -g -r r owner@beta alpha!hostfs!root /nr/sub >/n-small")
    carry(a, "n-small", "beta")
    fails("more rights are refused", b.do("ticket narrow -r rw owner@gamma /n-small"), "claims more rights")
    fails("a wider path is refused", b.do("ticket narrow owner@gamma /n-small /nr"), "leaves the path")
    fails("more time is refused", b.do("ticket narrow -t 2d owner@gamma /n-small"), "claims more time")
    fine("ticket revoke takes the narrowed one back", b.do("ticket revoke /n-low"))

    def revoked():
        return c.do("newns sh -c 'mount -k /n-low \"alpha!hostfs!root\" /n1; cat /n1/f 2>/dev/null || { why; exit 1; }'")
    check("gamma is refused then", until(lambda: "revoked" in revoked().out, 90), revoked())
    fine("beta's own still holds", b.do("newns sh -c 'mount -k /n-wide \"alpha!hostfs!root\" /n1; cat /n1/f'"), "top")
    fine("alpha takes that back too", a.do("ticket revoke /n-wide"))

    def beta_revoked():
        return b.do("newns sh -c 'mount -k /n-wide \"alpha!hostfs!root\" /n1; cat /n1/f 2>/dev/null || { why; exit 1; }'")
    check("beta is refused then", until(lambda: "revoked" in beta_revoked().out, 90), beta_revoked())


def tickets_expire(cell):
    a, b = cell.shell(), cell.shell("beta")
    a.do("mkdir -p /ex; echo short >/ex/f")
    ticket(a, "x-short", "-t 4 owner@beta alpha!hostfs!root /ex")
    fine("a short one is of use", b.do("mkdir -p /x1; mount -k /x-short 'alpha!hostfs!root' /x1; cat /x1/f"), "short")
    fine("ticket show tells that it ended", b.do("sleep 5; ticket show /x-short"), "(past)")

    def expired():
        return b.do("newns sh -c 'mount -k /x-short \"alpha!hostfs!root\" /x1; cat /x1/f 2>/dev/null || { why; exit 1; }'")
    check("after its time, and what clocks may differ, it is refused",
          until(lambda: "the ticket ended" in expired().out, 60), expired())


# ---- exports ----


def exporting(cell, words):
    """A shell of alpha in which an export runs."""
    x = cell.shell()
    x.begin(f"export {words}")
    name = words.split("-n ")[1].split()[0]
    check(f"alpha exports ({words})",
          until(lambda: name in cell.run("alpha", "cat /mnt/export/exports").stdout, 20))
    return x


def stop(x, what):
    x.interrupt()
    check(f"{what} ends on ^C", x.end(20).status == 0)


def export_used(cell):
    a, b = cell.shell(), cell.shell("beta")
    a.do("mkdir -p /ex/sub; echo inside >/ex/f; ln -s ../etc/passwd /ex/link; echo outside >/ex-secret")
    x = exporting(cell, "-n first /ex")
    ticket(a, "e-first", "-r rw owner@beta 'alpha!export!first'")
    fine("beta mounts it by a ticket", b.do("mkdir -p /e1; mount -c -k /e-first 'alpha!export!first' /e1; cat /e1/f"), "inside")
    fine("it lists", b.do("ls /e1"), "f\nlink\nsub")
    fine("it writes", b.do("echo more >>/e1/f; cat /e1/f"), "inside\nmore")
    fine("alpha sees that", a.do("cat /ex/f"), "inside\nmore")
    a.do("echo changed >/ex/f")
    fine("beta sees what alpha does", b.do("cat /e1/f"), "changed")
    fine("folders and names", b.do("mkdir /e1/d && echo new >/e1/new && mv /e1/new /e1/d/moved && cat /e1/d/moved"), "new")
    fine("links", b.do("ln -s moved /e1/d/s && readlink /e1/d/s && ln /e1/d/moved /e1/d/hard && stat -c %h /e1/d/hard"), "moved\n2")
    fine("times and modes", b.do("chmod 640 /e1/d/moved && touch -d @1000 /e1/d/moved && stat -c '%a %Y' /e1/d/moved"), "640 1000")
    fine("a file is cut and seeks", b.do("truncate -s 100000 /e1/big && stat -c %s /e1/big && du --apparent-size -b /e1/big"), "100000")
    fine("a large file arrives whole", b.do("head -c 9000000 /dev/urandom >/tmp/big; cp /tmp/big /e1/big; cmp /tmp/big /e1/big && echo same", 120), "same")
    fine("it is whole on alpha", a.do("stat -c %s /ex/big"), "9000000")
    fine("a deleted open file is read on", b.do("exec 7</e1/d/moved; rm /e1/d/moved /e1/d/hard; cat <&7; exec 7<&-"), "new")
    fine("removal", b.do("rm /e1/d/s && rmdir /e1/d && ls /e1"), "big\nf\nlink\nsub")
    fine("a link out of it is followed where it is read", b.do("readlink /e1/link; grep -c . /e1/link"), "../etc/passwd")
    fine("nothing leads up", b.do("ls -a /e1/.. | grep -c ex-secret || true"), "0")
    stop(x, "export")
    fails("then it is gone", b.do("cat /e1/f"), "Stale")
    fails("nobody attaches it", b.do("newns sh -c 'mkdir -p /e2; mount -k /e-first \"alpha!export!first\" /e2; ls /e2 2>/dev/null || { why; exit 1; }'"), "nothing is exported")


def export_refused(cell):
    a, b, c = cell.shell(), cell.shell("beta"), cell.shell("gamma")
    a.do("mkdir -p /er; echo inside >/er/f")
    x = exporting(cell, "-r -n second -u owner@gamma /er")
    fine("a user who is named attaches without a ticket", c.do("mkdir -p /r1; mount -c 'alpha!export!second' /r1; cat /r1/f"), "inside")
    for what, line in (("write", "echo x >/r1/f"), ("create", "touch /r1/new"), ("remove", "rm /r1/f"), ("mkdir", "mkdir /r1/d"),
                       ("rename", "mv /r1/f /r1/g"), ("chmod", "chmod 600 /r1/f"), ("truncate", "truncate -s 0 /r1/f")):
        fails(f"read-only refuses {what}", c.do(line), "Read-only")
    b.do("mkdir -p /r1; mount 'alpha!export!second' /r1")
    fails("another user is refused", b.do("ls /r1 2>/dev/null || { why; false; }"), "is not for this user")
    check("that is logged", until(lambda: "attaches export 'second'" in cell.log("alpha", "export")))
    fails("a name is given once", a.do("export -n second /er"), "is there already")
    fails("a user must be known", a.do("export -n third -u nobody@mars /er"), "no user 'nobody@mars'")
    fails("only a directory is exported", a.do("export -n third /er/f"), "only directories")
    os.kill(next(p for p in rig.children(x.inner())), 9)
    x.end(20)
    until(lambda: c.do("cat /r1/f").status) # the kernel tells of the closed file after the process has gone
    fails("killed, it is gone as well", c.do("cat /r1/f"), "Stale")


def export_namespace(cell):
    """What is exported is the namespace, not a file system; one who waits does not hold up the others."""
    a, b = cell.shell(), cell.shell("beta")
    cell.run("gamma", "mkdir -p /gm; echo of gamma >/gm/f")
    x = cell.shell()
    x.do("mkdir -p /en/far /en/net /en/zoo; bind /n/gamma/gm /en/far; bind /net /en/net")
    x.begin("export -n view /en")
    until(lambda: "view" in cell.run("alpha", "cat /mnt/export/exports").stdout, 20)
    ticket(a, "n-view", "-r rw owner@beta 'alpha!export!view'")
    fine("what is bound is exported", b.do("mkdir -p /v1; mount -k /n-view 'alpha!export!view' /v1; cat /v1/far/f"), "of gamma")
    fine("beside what is there", b.do("echo $(ls /v1)"), "far net zoo")
    fine("a replayed namespace shows both too", a.do("bind /tk /en/far; ns >/tmp/en.ns; newns -c -f /tmp/en.ns sh -c 'echo $(ls /en)'"), "far net zoo")
    line = "exec 5<>/v1/net/tcp/clone; read -r n <&5; echo 'announce *!9911' >&5; timeout 20 head -c 1 /v1/net/tcp/$n/listen >/tmp/waits & sleep 1"
    fine("a network is borrowed through it", b.do(line))
    quick = b.do("cat /v1/far/f; kill $! 2>/dev/null; wait 2>/dev/null; exec 5<&-", 30)
    check("while one waits for a call, another reads", "of gamma" in quick.out and quick.seconds < 10, quick)
    stop(x, "export")


def export_race(cell):
    """A folder that becomes a link to the outside, over and over, never shows what is there."""
    a, b = cell.shell(), cell.shell("beta")
    a.do("mkdir -p /race/in /race-out; echo good >/race/in/f; echo secret >/race-out/f")
    x = exporting(cell, "-r -n race /race")
    ticket(a, "r-race", "owner@beta 'alpha!export!race'")
    b.do("mkdir -p /rc1; mount -k /r-race 'alpha!export!race' /rc1")
    a.begin("for i in $(seq 200); do mv /race/in /race/was; ln -s ../race-out /race/in; rm /race/in; mv /race/was /race/in; done")
    seen = b.do("for i in $(seq 200); do cat /rc1/in/f 2>/dev/null; done | sort | uniq -c", 120)
    check("the swaps end", a.end(120).status == 0)
    check("what is read is of the export only", "secret" not in seen.out and "good" in seen.out, seen)
    stop(x, "export")


# ---- on ----


def on_term(cell):
    """The caller's tree at /mnt/term, as long as the command runs."""
    a, b = cell.shell(), cell.shell("beta")
    a.do("mkdir -p /ot; echo of alpha >/ot/f; cd /ot")
    fine("the caller's file is read", a.do("on beta cat /mnt/term/ot/f"), "of alpha")
    fine("and written", a.do("on beta sh -c 'hostname >/mnt/term/ot/by'; cat /ot/by"), "beta")
    fine("what is bound here is seen there", a.do("mkdir -p /ot/b; bind /cognu /ot/b; on beta ls /mnt/term/ot/b"), "bin")
    fine("a file goes from one to the other", a.do("on beta sh -c 'cp /mnt/term/ot/f /copied && cat /copied'"), "of alpha")
    fine("the status is the command's", a.do("on beta sh -c 'test -e /mnt/term/ot/f; exit 9'; echo $?"), "9")
    fails("-T withholds it", a.do("on -T beta ls /mnt/term"), "No such file")
    fine("on one's own node it is there too", a.do("on alpha cat /mnt/term/ot/f"), "of alpha")
    fine("-n replays the caller's namespace", a.do("on -n beta sh -c 'hostname; cat /ot/f; ls /ot/b'"), "beta\nof alpha\nbin")
    fine("-n -T withholds it as well", a.do("on -n -T beta sh -c 'cat /ot/f; test ! -e /mnt/term && echo none'"), "none")
    fine("it goes on from there", a.do("on beta on gamma cat /mnt/term/mnt/term/ot/f"), "of alpha")
    a.do("on beta sh -c 'cat /mnt/term/ot/f; setsid sh -c \"sleep 2; cat /mnt/term/ot/f >/left-out 2>/left-err; echo done >/left\" >/dev/null 2>&1 </dev/null &'")
    check("who stays behind", until(lambda: os.path.exists(cell.root("beta", "left")), 20))
    with open(cell.root("beta", "left-out")) as f, open(cell.root("beta", "left-err")) as g:
        out, err = f.read(), g.read()
    check("sees it no more when the command has ended", out == "" and "Stale" in err, (out, err))
    check("nothing of it is left", cell.run("alpha", "cat /mnt/export/exports").stdout == "")
    fine("the environment is the caller's", a.do("OT=x on beta sh -c 'echo $OT $COGNU_NS_MORE.'"), "x .")
    fine("who covers /mnt lends nothing, and commands run", a.do("newns sh -c 'bind /tmp /mnt; on beta hostname; on beta ls /mnt/term 2>&1'; true"), "beta")
    b.do("mkdir -p /ot")
    fine("it begins in the folder of the same name", a.do("on beta pwd"), "/ot")
    a.begin("on beta sleep 60")
    until(lambda: "x" in cell.run("alpha", "cat /mnt/export/exports").stdout, 20)
    a.interrupt()
    got = a.end(20)
    check("^C ends it", got.status == 130, got)
    check("and the export", until(lambda: cell.run("alpha", "cat /mnt/export/exports").stdout == "", 20))


def exec_allowed(cell):
    """Who may run commands: nobody but the node's own user, unless the rule names him."""
    a, b = cell.shell(), cell.shell("beta")
    rule = "/n/beta/exec/allow"
    fine("the rule names the users of this cell", b.do(f"sort {rule}"), "owner\nowner@beta\nowner@gamma")
    fine("an empty rule", b.do(f"echo '# nobody' >{rule}; cat {rule}"), "# nobody")
    fails("refuses other nodes' users", a.do("on beta hostname"), "may not run commands on this node")
    fails("and why says so", a.do("on beta hostname 2>/dev/null || { why; false; }"), "user owner may not run commands")
    check("that is logged", "user owner wants to run commands" in cell.log("beta", "exec"))
    fine("the node's own may", b.do("on beta hostname"), "beta")
    b.do("sleep 300 & echo $! >/victim")
    signal = "kill -KILL beta/$(cat /n/beta/victim)"
    fails("nor do others signal processes there", a.do(signal), "may not signal processes on this node")
    fails("nor stop them", a.do("echo stop >/n/beta/proc/$(cat /n/beta/victim)/ctl"), "not permitted")
    fails("nor see their files", a.do("cat /n/beta/proc/$(cat /n/beta/victim)/fd"), "not permitted")
    fine("what all may see is seen", a.do("cat /n/beta/proc/$(cat /n/beta/victim)/args"), "sleep")
    check("that is logged", "user owner wants to signal processes" in cell.log("beta", "proc"))
    fails("others cannot change the rule", a.do(f"echo owner >{rule}"), "not permitted")
    fine("who is named may", b.do(f"echo owner >>{rule}; cat {rule}"), "# nobody\nowner")
    fine("at once", a.do("on beta hostname"), "beta")
    fine("and signals", a.do(signal))
    fine("which arrive", b.do("wait $(cat /victim); echo status $?"), "status 137")
    fails("another may not", cell.shell("gamma").do("on beta hostname"), "user owner@gamma may not")
    key = a.do("sed -n 's/^user \\([0-9a-f]*\\) owner@gamma$/\\1/p' /mnt/gate/roster").out
    fine("a key is as good as a name", b.do(f"echo {key} >{rule}"))
    fine("and lets its user in", cell.shell("gamma").do("on beta hostname"), "beta")
    fails("a rule that is none is refused whole", b.do(f"echo 'owner; rm' >{rule}; echo '/etc' >{rule}"), "nvalid")
    fine("a star lets all in", b.do(f"echo '*' >{rule}"))
    fine("of the cell", a.do("on beta hostname"), "beta")
    cell.kill("beta", "exec")
    fine("the rule outlives exec", b.do(f"cat {rule}"), "*")
    b.do("su -s /bin/sh nobody -c 'echo none' >/dev/null 2>&1")


def env_groups(cell):
    """/env as rfork has it: shared, copied, empty."""
    a, b = cell.shell(), cell.shell()
    a.do("echo one >/env/EG; printf 'a\\0b' >/env/EGL")
    fine("shells share the environment of their node", b.do("cat /env/EG"), "one")
    fine("newns shares it too", a.do("newns sh -c 'echo two >/env/EG'; cat /env/EG"), "two")
    fine("-e copies it", a.do("newns -e sh -c 'cat /env/EG; tr \"\\\\0\" . </env/EGL; echo; echo three >/env/EG; cat /env/EG'"), "two\na.b\nthree")
    fine("and what is changed there", a.do("cat /env/EG"), "two")
    fine("-E begins with none", a.do("newns -E sh -c 'echo [$(ls /env)]; echo x >/env/EGN; ls /env'"), "[]\nEGN")
    fine("which nobody else sees", a.do("ls /env/EGN 2>/dev/null || echo none"), "none")
    fine("children share the copy", a.do("newns -e sh -c 'newns sh -c \"echo four >/env/EG\"; cat /env/EG'; cat /env/EG"), "four\ntwo")
    fine("its text replays into the same group", a.do("newns -E sh -c 'echo five >/env/EGR; ns >/tmp/eg.ns; newns -c -f /tmp/eg.ns cat /env/EGR'"), "five")
    a.begin("newns -e sh -c 'echo six >/env/EG; echo ready >/eg-ready; while [ ! -e /eg-go ]; do sleep 0.1; done; cat /env/EG'")
    check("a copy is held", until(lambda: os.path.exists(cell.root("alpha", "eg-ready")), 20))
    cell.kill("alpha", "env")
    with open(cell.root("alpha", "eg-go"), "w"):
        pass
    fine("and survives its server", a.end(40), "six")
    fine("as the node's own does", a.do("cat /env/EG"), "two")
    a.do("rm /env/EG /env/EGL")


def debugger(cell):
    """db, on a process of another node: only that node's files are used."""
    a, b = cell.shell(), cell.shell("beta")
    shutil.copy(os.path.join(rig.BUILD, "test", "share_debuggee"), cell.root("beta", "debuggee"))
    pid = until(lambda: b.do("[ -x /debuggee ] && { /debuggee >/debuggee.out & for i in $(seq 50); do grep -q debuggee /proc/$!/comm && break; sleep 0.1; done; echo $!; }").out.strip(), 10)
    db = f"db -c '%s' beta/{pid}"
    fine("a breakpoint by name", a.do(db % "break leaf; go"), "breakpoint at leaf")
    got = a.do(db % "break leaf; go; where")
    fine("where it is: the function", got, "#0 leaf")
    fine("its callers, by frame pointers", got, "main+0x")
    check("in their order", 0 < got.out.find("#1 middle+0x") < got.out.find("#2 main+0x"), got)
    got = a.do(db % "break leaf; go; mem counter; go; mem counter; go; mem counter")
    numbers = [int(line.split()[1], 16) for line in got.out.splitlines() if line.startswith("0x")]
    check("from breakpoint to breakpoint the counter grows by what is added", len(numbers) == 3 and numbers[1] - numbers[0] == 2 and
          numbers[2] - numbers[1] == 2, got)
    got = a.do(db % "break leaf; go; regs rip; clear leaf; step; regs rip; step 3; sym $rip")
    fine("steps go on in the function", got, "stopped at leaf+0x")
    fine("a name has its number", a.do(db % "sym leaf"), " leaf")
    fine("memory is changed", a.do(db % "put counter 1000; mem counter"), "0x00000000000003e8")
    fine("registers are changed", a.do(db % "break leaf; go; regs rdi 50; regs rdi; go; mem counter"), "rdi 0x32")
    fine("a stop by hand", a.do(db % "stop; regs rip"), "rip 0x")
    fails("one debugger at a time",
          a.do(f"exec 8<>/n/beta/proc/{pid}/ctl; echo attach >&8; db -c 'sym main' beta/{pid}; s=$?; exec 8>&-; test $s = 0"),
          "another debugger")
    fine("when its ctl is closed it is free again", a.do(db % "sym main"), " main")
    a.begin(f"db -c 'break leaf; go; clear leaf; go' beta/{pid}")
    time.sleep(1)
    a.interrupt()
    got = a.end(20)
    check("^C stops what runs", "stopped at" in got.out.splitlines()[-1], got)
    a.begin(f"db -c 'clear leaf; go' beta/{pid}")
    time.sleep(0.5)
    for child in rig.children(a.inner()):
        os.kill(child, 9)
    a.end(20)
    fine("a debugger that is killed lets it go on",
         b.do(f"for i in $(seq 50); do grep -q 'TracerPid:.0' /proc/{pid}/status && break; sleep 0.1; done; grep TracerPid /proc/{pid}/status"), "\t0")
    fine("its end comes by what was written", a.do(db % "put counter 0x20000000000"))
    check("and it ends well", until(lambda: "the end at" in open(cell.root("beta", "debuggee.out")).read(), 20))
    b.do("wait")
    fails("then there is nothing to debug", a.do(db % "sym main"), "db: ")
    fails("init is not debugged", a.do("db -c 'sym main' beta/1"), "")


PARTS = [env_groups, debugger, on_term, exec_allowed, tickets_used, tickets_narrowed, tickets_expire, export_used, export_refused, export_namespace, export_race]


def all_known(cell):
    """Who came later is told to the others."""
    for node in rig.ADDRESS:
        until(lambda node=node: cell.run(node, "nodes").stdout.count("\n") >= 3, 90)


if __name__ == "__main__":
    sys.exit(rig.test(PARTS, before=all_known))
