#!/usr/bin/env python3
"""What the nodes of a cell lend one another: tickets, exports, the caller's tree at /mnt/term, who may run commands.

    share_test.py [WORD...]    only the parts whose name holds a word
"""
import contextlib
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))
import cell as rig  # noqa: E402
from cell import check, checks, until  # noqa: E402


def fine(what, result, says=None):
    return check(what, result.status == 0 and (says is None or says in result.out), result)


def fails(what, result, says):
    """It fails, and says why: cause and cure."""
    return check(what, result.status not in (0, None) and says in result.out, result)


def copy(cell, source, node, name):
    """A file of alpha's tree into another node's: as a person would carry it."""
    with open(cell.root("alpha", source)) as f, open(cell.root(node, name), "w") as g:
        g.write(f.read())


def ticket(cell, a, name, words, node="beta"):
    """Alpha's owner makes a ticket for a user of another node and carries it there."""
    fine(f"alpha makes a ticket ({words})", a.do(f"ticket make {words} >/{name}"))
    copy(cell, name, node, name)


# ---- tickets ----


def tickets_used(cell):
    a, b, c = cell.shell(), cell.shell("beta"), cell.shell("gamma")
    a.do("mkdir -p /tk/in /tk/other; echo inside >/tk/in/f; echo outside >/tk/other/f; ln -s ../other/f /tk/in/link")
    ticket(cell, a, "t-read", "-t 1h owner@beta alpha!hostfs!root /tk/in")
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
    copy(cell, "t-read", "gamma", "t-read")
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
    ticket(cell, a, "n-wide", "-g -r rwx owner@beta alpha!hostfs!root /nr")
    fine("beta uses it to write", b.do("mkdir -p /n1; mount -c -k /n-wide 'alpha!hostfs!root' /n1; echo beta >/n1/b; sync; cat /n1/b"), "beta")
    fine("beta narrows it for gamma", b.do("ticket narrow -r r -t 10m owner@gamma /n-wide /nr/sub >/n-low"))
    with open(cell.root("beta", "n-low")) as f, open(cell.root("gamma", "n-low"), "w") as g:
        g.write(f.read())
    fine("gamma reads by the narrowed one", c.do("mkdir -p /n1; mount -k /n-low 'alpha!hostfs!root' /n1; cat /n1/f"), "low")
    fails("it gives less", c.do("echo x >/n1/f"), "not permitted")
    fails("more rights are refused", b.do("ticket narrow -r rwx owner@gamma /n-low"), "does not hold")
    fails("a final one is not handed on", c.do("ticket narrow -r r owner@beta /n-low"), "may not be handed on")
    a.do("ticket make -g -r r owner@beta alpha!hostfs!root /nr/sub >/n-small")
    copy(cell, "n-small", "beta", "n-small")
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
    ticket(cell, a, "x-short", "-t 4 owner@beta alpha!hostfs!root /ex")
    fine("a short one is of use", b.do("mkdir -p /x1; mount -k /x-short 'alpha!hostfs!root' /x1; cat /x1/f"), "short")
    fine("ticket show tells that it ended", b.do("sleep 5; ticket show /x-short"), "(past)")

    def expired():
        return b.do("newns sh -c 'mount -k /x-short \"alpha!hostfs!root\" /x1; cat /x1/f 2>/dev/null || { why; exit 1; }'")
    check("after its time, and what clocks may differ, it is refused",
          until(lambda: "the ticket ended" in expired().out, 60), expired())


PARTS = [tickets_used, tickets_narrowed, tickets_expire]


def main():
    words = sys.argv[1:]
    chosen = [p for p in PARTS if not words or any(w in p.__name__ for w in words)]
    cell = rig.Cell()
    try:
        for node in rig.ADDRESS:  # who came later is told to the others
            until(lambda node=node: cell.run(node, "nodes").stdout.count("\n") >= 3, 90)
        for part in chosen:
            began = time.monotonic()
            print(f"# {part.__name__}", flush=True)
            try:
                part(cell)
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                check(part.__name__, False, repr(e))
            for shell in cell.shells:
                shell.close()
            cell.shells.clear()
            print(f"# {part.__name__} took {time.monotonic() - began:.1f} s", flush=True)
    finally:
        with contextlib.suppress(Exception):
            cell.close()
    passed = sum(checks)
    print(f"{passed} passed, {len(checks) - passed} failed")
    return passed != len(checks)


if __name__ == "__main__":
    sys.exit(main())
