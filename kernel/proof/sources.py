"""What the proof is about: the C functions of the linked kernel outside arch/, and what is trusted about them."""
import os
import re
import subprocess

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
KERNEL = os.path.join(ROOT, "kernel")
BUILD = os.environ.get("COGNU_BUILD") or os.path.join(ROOT, "build")
# Folders of kernel/ whose C is not the kernel's own: the machine, user programs, tests, the proof's tools.
OUTSIDE = ("arch", "user", "proof", "test", "tests")
DEFINITION = re.compile(r"^(?!typedef|struct|enum|union|#)([a-z_][^;{}=]*?)\b(\w+)\(([^;{}]*)\)\n\{", re.M)


def bare(text):
    """The text with comments and literals blanked, its length and lines kept."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)


class Function:
    """A C function: where its text stands."""

    def __init__(self, path, name, start, end, text):
        self.path, self.name, self.start, self.end = path, name, start, end
        self.body = text.index("{", start)
        self.line = text.count("\n", 0, start) + 1
        self.unit = path  # the C file with which it is proved

    def calls(self):
        """Names that its body calls, macros included."""
        return set(re.findall(r"\b(\w+)\(", bare(read(self.path))[self.body:self.end]))

    @property
    def key(self):
        return f"{self.path} {self.name}"


def read(path):
    with open(os.path.join(KERNEL, path), encoding="utf-8") as f:
        return f.read()


def functions_of(path):
    text = read(path)
    code = bare(text)
    for match in DEFINITION.finditer(code):
        end = code.index("\n}", match.end() - 1) + 2
        yield Function(path, match.group(2), match.start(), end, text)


def files():
    """C files and headers of the kernel outside arch/, relative to kernel/."""
    found = []
    for folder, folders, names in os.walk(KERNEL):
        if folder == KERNEL:
            folders[:] = [f for f in folders if f not in OUTSIDE]
        for name in names:
            if name.endswith((".c", ".h")) and not name.endswith("_test.c"):
                found.append(os.path.relpath(os.path.join(folder, name), KERNEL))
    return sorted(found)


def includes(path, known):
    return [h for h in known if re.search(r'#include "(?:[^"]*/)?%s"' % re.escape(os.path.basename(h)), read(path))]


def functions():
    """Every function outside arch/ that the sources define. Inline ones are proved with their noun's C file."""
    paths = files()
    units = [p for p in paths if p.endswith(".c")]
    found = []
    for path in paths:
        unit = path
        if path.endswith(".h"):
            own = path[:-1] + "c"
            unit = own if own in units else next((u for u in units if includes(u, [path])), None)
        for function in functions_of(path):
            if unit is None:
                raise SystemExit(f"prove: no C file includes kernel/{path}")
            function.unit = unit
            found.append(function)
    return found


def theorems():
    """Functions of proof/: statements about operations of the kernel, proved with it and no part of it."""
    return list(functions_of("proof/confine.c"))


def arch_names():
    """Functions that arch/ defines, in C or assembly: trusted, no part of b."""
    names = set()
    for folder, _, entries in os.walk(os.path.join(KERNEL, "arch")):
        for entry in entries:
            path = os.path.relpath(os.path.join(folder, entry), KERNEL)
            if entry.endswith((".c", ".h")):
                names |= {f.name for f in functions_of(path)}
            elif entry.endswith(".S"):
                names |= set(re.findall(r"^(\w+):", read(path), re.M))
    return names


def linked(elf):
    """Names of the C functions in the image, inlined ones included: its DWARF subprograms."""
    dump = subprocess.run(["objdump", "--dwarf=info", elf], capture_output=True, text=True, check=True).stdout
    names = set()
    for entry in re.split(r"\n <\w+><\w+>: Abbrev Number: ", dump):
        if "(DW_TAG_subprogram)" in entry[:60] and "DW_AT_declaration" not in entry:
            match = re.search(r"DW_AT_name\s*: (?:\(.*?\): )?(\w+)", entry)
            if match:
                names.add(match.group(1))
    return names


def kernel_functions(elf):
    """The functions that count (b), and complaints about image and sources that disagree."""
    found = functions()
    if not elf:
        return found, []
    names = linked(elf)
    known = {f.name for f in found} | arch_names()
    complaints = [f"{name}: in the image, but in no source that the proof knows" for name in sorted(names - known)]
    return [f for f in found if f.name in names], complaints


def ghosts_of(path):
    """Functions that only the proof has."""
    return re.findall(r"\b(\w+)\([^;{}()]*\)\s*\{", "\n".join(re.findall(r"/\*@ ghost(.*?)\*/", read(path), re.S)))


def annotations(text):
    return "\n".join(a or b for a, b in re.findall(r"/\*@(.*?)\*/|//@([^\n]*)", text, re.S))


def trusted_text():
    """What the sources ask to believe: {kind: [names]}."""
    found = {"axioms": [], "admitted clauses": [], "prover-only branches": []}
    for path in files() + arch_headers():
        text = read(path)
        notes = annotations(text)
        found["axioms"] += [f"{path} {name}" for name in re.findall(r"\baxiom\s+(\w+)", notes)]
        found["admitted clauses"] += [f"{path} {clause}" for clause in
                                      re.findall(r"\badmit\s+(?:requires|ensures|loop invariant|invariant)?[^;]{0,60}", notes)]
        found["prover-only branches"] += [f"{path}" for _ in re.findall(r"\b__FRAMAC__\b", text)]
    return found


def arch_headers():
    folder = os.path.join(KERNEL, "arch")
    return [f"arch/{name}" for name in sorted(os.listdir(folder)) if name.endswith(".h")] if os.path.isdir(folder) else []
