#!/usr/bin/env python3
"""What the kernels of Intel's Arc A770 (acm-g10) are made of: compiled, disassembled and counted, never run.

  arc_table.py              writes the table of docs/arc.md
  arc_table.py --check      holds kernels of Q4_K to their bounds and docs/arc.md to what they are; exit 77 where ocloc or iga64 is missing
  arc_table.py --loop KERNEL FORMAT [SHAPE]   prints the inner loop of one
  arc_table.py --self-test  checks that loops are found and counted

Needs `xenon` ($XENON, else build/xenon), Intel's ocloc (package intel-opencl-icd) and iga64 (libigc-tools).
"""
import collections
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/arc.md"
TARGET, PLATFORM = "acm-g10", "xehpg"
BEGIN, END = "<!-- made by tools/arc_table.py -->\n", "<!-- end -->\n"

# Of the inner loop of a kernel that generates at Q4_K: instructions of a lane for each weight.
MOST_INSTRUCTIONS = 2.0
# Of the instructions in the inner loop of a kernel of many rows: those that are dpas.
LEAST_DPAS = 0.4
# How often that loop goes round in a step of a tile (tile_intel.cl), which also copies and decodes what the next one takes.
ROUNDS = 2

# What is compiled: kernels, formats, shapes. The inner loop of a product is the same in all kernels with products, so that
# each format is shown in one of them, and the others in the format that most models have.
FORMATS = ["Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q4_0", "IQ4_XS", "MXFP4", "F16", "BF16"]
PRODUCTS = ["project", "project_add", "gate", "head", "expert_gate", "expert_add"]
CHECKED = [(",".join(PRODUCTS) + ",attend,tile", ["Q4_K"])]  # in make test: what there are bounds for
JOBS = [("project_add", FORMATS[1:]), ("tile", ["Q6_K", "Q8_0", "F16", "BF16"]), ("tile_experts", ["Q4_K"])] + CHECKED

Program = collections.namedtuple("Program", "kernel format shape lanes registers spills private loop")
Loop = collections.namedtuple("Loop", "instructions counts text around")  # around: counts of the loop that it stands in


# --- binaries ---

def entry_binary(path):
    """The compiler's binary in a file of the program cache: 16 bytes of magic, sizes of key and binary, a digest, the key."""
    data = pathlib.Path(path).read_bytes()
    key_size, size = struct.unpack_from("<QQ", data, 16)
    begin = 16 + 16 + 16 + key_size
    if begin + size != len(data):
        raise SystemExit(f"{path}: {len(data)} bytes, {begin + size} expected")
    return data[begin:]


def sections(elf):
    """Sections of a 64-bit ELF file by name."""
    if elf[:4] != b"\x7fELF" or elf[4] != 2:
        raise SystemExit("ocloc wrote no 64-bit ELF file (zebin)")
    at, = struct.unpack_from("<Q", elf, 0x28)
    n, names = struct.unpack_from("<HH", elf, 0x3C)
    rows = [struct.unpack_from("<IIQQQQIIQQ", elf, at + 64 * i) for i in range(n)]
    text = elf[rows[names][4] : rows[names][4] + rows[names][5]]
    return {text[r[0] : text.index(b"\0", r[0])].decode(): elf[r[4] : r[4] + r[5]] for r in rows}


def of_kernel(info, name):
    """The part of .ze_info about one of the kernels of a program (a compiler's own symbol table is another)."""
    found = re.search(rf"^  - name: +{name}\n(?:(?!  - |\S).*\n)*", info, re.M)
    if not found:
        raise SystemExit(f"the binary says nothing of {name}")
    return found.group(0)


def number(info, key, default=None):
    found = re.search(rf"^\s+{key}:\s+(\d+)", info, re.M)
    if not found and default is None:
        raise SystemExit(f"the binary does not say its {key}")
    return int(found.group(1)) if found else default


def memory_bytes(info, usage):
    """Of a kernel's part of .ze_info: bytes of memory of a thread for spilled registers (spill_fill_space, or single_space where that
    is all), or for variables that are in no register (private_space)."""
    found = re.search(r"^    per_thread_memory_buffers:\n((?:      .*\n)*)", info, re.M)
    buffers = found.group(1).split("      - ") if found else []
    return sum(number("      " + b, "size", 0) for b in buffers if re.search(rf"usage: +(?:{usage})$", b, re.M))


# --- loops ---

INSTRUCTION = re.compile(r"^/\* \[([0-9A-F]+)\]\s*\*/\s*(?:\([^)]*\)\s*)*([a-z][a-z0-9_.]*)(.*)")


def parse(listing):
    """Instructions as (address, name, line), with the labels that lines mention resolved: L424 is address 424."""
    out = []
    for line in listing.splitlines():
        found = INSTRUCTION.match(line)
        if found and found.group(2) != "illegal":
            out.append((int(found.group(1), 16), found.group(2), line))
    return out


def spans_of(instructions):
    """Loops as (first, last) address: from the target of a branch backwards to the branch."""
    spans = set()
    for address, name, line in instructions:
        if not re.match(r"goto|jmpi|while|brc|brd", name):
            continue
        back = [int(t) for t in re.findall(r"\bL(\d+)\b", line) if int(t) <= address]
        if back:
            spans.add((min(back), address))
    return spans


def inside(span, other):
    return span != other and other[0] <= span[0] and span[1] <= other[1]


def body_of(instructions, span):
    return [i for i in instructions if span[0] <= i[0] <= span[1]]


def count(body):
    """What a loop is made of: instructions in all, by kind, and their lanes, of which an engine has 8: what is for fewer takes
    as long. A synchronisation that waits (sync) is no work of a lane's."""
    counts = collections.Counter()
    for _, name, line in body:
        base = name.split(".")[0]
        if base == "nop" or base == "sync":
            continue
        counts["all"] += 1
        width = re.search(r"\((\d+)\|M\d+\)", line)
        counts["lanes"] += max(8, int(width.group(1)) if width else 1)
        if base in ("dp4a", "dpas", "dpasw"):
            counts["dpas" if base != "dp4a" else base] += 1
        elif base in ("mad", "mac") and re.search(r">:f\b", line):
            counts["mad"] += 1
        elif base in ("send", "sends", "sendc"):
            counts["send"] += 1
            if "scratch" in line:
                counts["scratch"] += 1
    return counts


def work(counts):
    return 1000 * counts["dpas"] + 4 * counts["dp4a"] + counts["mad"]


def inner_loop(listing):
    """The innermost loop that multiplies most."""
    instructions = parse(listing)
    spans = spans_of(instructions)
    inner = sorted(s for s in spans if not any(inside(o, s) for o in spans))
    best = max(inner, key=lambda span: work(count(body_of(instructions, span))), default=None)
    if best is None:
        return None
    body = body_of(instructions, best)
    counts = count(body)
    if not work(counts):
        return None
    around = min((s for s in spans if inside(best, s)), key=lambda s: s[1] - s[0], default=None)
    return Loop(counts["all"], counts, "\n".join(line for _, _, line in body),
                count(body_of(instructions, around)) if around else collections.Counter())


# --- a program ---

def examine(row, folder):
    parts = sections(entry_binary(row["file"]))
    name = f"xn_kernel_{row['kernel']}"
    code = parts.get(f".text.{name}")
    if code is None:
        raise SystemExit(f"{row['file']}: no kernel {name}")
    info = of_kernel(parts[".ze_info"].decode(), name)
    stem = pathlib.Path(folder) / pathlib.Path(row["file"]).name
    stem.with_suffix(".krn").write_bytes(code)
    run = subprocess.run(["iga64", "-d", f"-p={PLATFORM}", "-Xprint-pc", str(stem.with_suffix(".krn")), "-o",
                          str(stem.with_suffix(".asm"))], capture_output=True)
    if run.returncode:
        raise SystemExit(f"iga64 fails on {name}")
    listing = stem.with_suffix(".asm").read_text(errors="replace")
    return Program(row["kernel"], "+".join(row["formats"]), row.get("shape"), number(info, "simd_size"),
                   number(info, "grf_count", 128), memory_bytes(info, "spill_fill_space|single_space"),
                   memory_bytes(info, "private_space"), inner_loop(listing))


def compile_jobs(xenon, folder, jobs):
    """Compiles all jobs, two at once, and examines what came out."""
    def one(kernels, formats):
        run = subprocess.run([xenon, "compile", "--target", TARGET, "--kernels", kernels, "--formats", formats, "--cache-type",
                              "f16", "--json", "-o", folder], capture_output=True, text=True)
        if run.returncode:
            raise SystemExit(f"xenon compile --kernels {kernels} --formats {formats}: {run.stderr.strip()[:500]}")
        return [examine(row, folder) for row in json.loads(run.stdout)["programs"]]

    # One kernel and format a job, so that the cores share them evenly.
    single = [(kernel, format) for kernels, formats in jobs for kernel in kernels.split(",") for format in formats]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        return [p for programs in pool.map(lambda job: one(*job), single) for p in programs]


# Weights that a pass of a loop takes in each lane: two units where their codes are multiplied (few_runs.cl), whose dp4a are
# 16 for each row of the batch in the loop, else one.
PAIR, UNIT = 64, 32


def of_tiles(program):
    return program.kernel.startswith("tile")


def step_share(program):
    """Of the instructions of a whole step of a tile those that are dpas."""
    inner, around = program.loop.counts, program.loop.around
    more = ROUNDS - 1
    return (around["dpas"] + more * inner["dpas"]) / (around["all"] + more * inner["all"])


def few(program):
    return program.shape in ("one row", "few rows")


def per_weight(program):
    """Instructions of a lane for each weight that it takes in a pass of the loop."""
    c = program.loop.counts
    if c["dp4a"] * 4 % PAIR:
        raise SystemExit(f"{program.kernel} {program.format}: {c['dp4a']} dp4a in the loop are of no whole pair of units")
    return c["lanes"] / program.lanes / (PAIR if c["dp4a"] else UNIT)


# --- what they are held to ---

def broken(programs):
    """What is not as it must be, as sentences."""
    out = []
    for p in programs:
        name = f"{p.kernel} {p.format} {p.shape or ''}".rstrip()
        if of_tiles(p) and p.spills:
            out.append(f"{name}: {p.spills} bytes of registers are spilled, none expected")
        if p.kernel != "attend" and p.loop and p.loop.counts["scratch"] + p.loop.around["scratch"]:
            out.append(f"{name}: spilled registers are read or written in the loop or the one around it")
        if of_tiles(p) and p.private:
            out.append(f"{name}: variables of {p.private} bytes are in no register, none expected")
        if p.kernel == "attend" or p.loop is None:
            continue
        if p.shape == "one row" and p.format == "Q4_K" and per_weight(p) > MOST_INSTRUCTIONS:
            out.append(f"{name}: {per_weight(p):.2f} instructions a weight, at most {MOST_INSTRUCTIONS} expected")
        share = p.loop.counts["dpas"] / p.loop.instructions
        if p.kernel == "tile" and share < LEAST_DPAS:
            out.append(f"{name}: {100 * share:.0f} % of the loop are dpas, at least {100 * LEAST_DPAS:.0f} expected")
    return out


# --- the page ---

def table(programs, version):
    lines = [f"Compiled for {TARGET} by ocloc {version}. Sub-group: lanes. Registers: of 32 bytes, of a thread. Spilled, and private "
             "(variables in no register): bytes of a thread. "
             "Loop: instructions of the innermost loop that multiplies, and of them dp4a, dpas and multiply-adds, and sends (loads and "
             "stores of any memory). A weight: instructions of a lane for each weight, those for fewer than 8 lanes counted as 8 (an engine issues "
             "no less); of few rows, for all that stand in the loop (8, of experts 1). Of a step: the share of dpas in all that a step of a tile takes, "
             "decoding and copying included, as it runs.", "",
             "| kernel | format | shape | sub-group | registers | spilled | private | loop | dp4a | dpas | mad | send | a weight | dpas share | of a step |",
             "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for p in sorted(programs, key=lambda p: (p.shape or "", p.kernel != "project_add", p.kernel,
                                             FORMATS.index(p.format) if p.format in FORMATS else 99)):
        c = p.loop.counts if p.loop else collections.Counter()
        cells = [p.kernel, p.format, p.shape or "", p.lanes, p.registers, p.spills, p.private, p.loop.instructions if p.loop else "",
                 c["dp4a"] or "", c["dpas"] or "", c["mad"] or "", c["send"] or "",
                 f"{per_weight(p):.2f}" if p.loop and few(p) and p.kernel != "attend" else "",
                 f"{100 * c['dpas'] / p.loop.instructions:.0f} %" if p.loop and c["dpas"] else "",
                 f"{100 * step_share(p):.0f} %" if p.loop and of_tiles(p) else ""]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def compiler_version(folder):
    run = subprocess.run(["ocloc", "query", "OCL_DRIVER_VERSION"], cwd=folder, capture_output=True)
    file = pathlib.Path(folder) / "OCL_DRIVER_VERSION"
    found = re.search(r"\d+(?:\.\d+)*", file.read_text()) if run.returncode == 0 and file.exists() else None
    return found.group(0) if found else "of an unknown version"


def page_parts():
    text = PAGE.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{PAGE}: one pair of marks expected")
    before, rest = text.split(BEGIN)
    return before, *rest.split(END)


def self_test():
    listing = """L0:
/* [0000]  */ (W)     mov (8|M0)               r127.0<1>:ud  0x0:ud
L16:
/* [0010]  */         mov (16|M0)              r9.0<1>:ud    0x0:ud
L32:
/* [0020]  */         sync.nop                             null                             {Compacted,$4.dst}
/* [0028]  */         send.ugm (16|M0)         r13      r11     null:0  0x0            0x64883500           {A@1,$3}
/* [0038]  */         dp4a (16|M0)             r43.0<1>:d    0:w                r41.0<1;0>:ud     r23.0<1>:d       {I@2}
/* [0048]  */         dp4a (16|M0)             r43.0<1>:d    r43.0<1;0>:d       r41.0<1;0>:ud     r23.0<1>:d       {I@2}
/* [0058]  */         mad (16|M0)              r9.0<1>:f     r9.0<1;0>:f       acc0.0<1;0>:f     r73.0<1>:f
/* [0060]  */ (f0.1)  goto.b (16|M0)                       L112                  L32
L112:
/* [0070]  */ (W&f0.1) jmpi                                L16
L128:
/* [0080]  */         mad (16|M0)              r9.0<1>:f     r9.0<1;0>:f       acc0.0<1;0>:f     r73.0<1>:f
/* [0088]  */ (W&f0.1) jmpi                                L128
/* [0098]  */         illegal
"""
    loop = inner_loop(listing)
    assert loop and loop.instructions == 5 and loop.counts["dp4a"] == 2 and loop.counts["mad"] == 1, loop
    assert len(spans_of(parse(listing))) == 3 and loop.around["all"] == 7
    program = Program("gate", "Q4_K", "few rows", 16, 128, 0, 0, loop)
    assert loop.counts["lanes"] == 5 * 16
    program = program._replace(loop=loop._replace(counts=loop.counts + collections.Counter(dp4a=14)))
    assert per_weight(program) == 5 / PAIR
    assert per_weight(program._replace(loop=loop._replace(counts=loop.counts - collections.Counter(dp4a=2)))) == 5 / UNIT
    info = """kernels:
  - name:            Intel_Symbol_Table_Void_Program
    execution_env:
      simd_size:       32
  - name:            xn_kernel_gate
    execution_env:
      simd_size:       16
    per_thread_memory_buffers:
      - type:            scratch
        usage:           spill_fill_space
        size:            256
      - type:            global
        usage:           private_space
        size:            80
kernels_misc_info:
  - name:            xn_kernel_gate
"""
    gate = of_kernel(info, "xn_kernel_gate")
    assert number(gate, "simd_size") == 16
    assert memory_bytes(gate, "spill_fill_space") == 256 and memory_bytes(gate, "private_space") == 80
    assert memory_bytes(of_kernel(info, "Intel_Symbol_Table_Void_Program"), "spill_fill_space") == 0
    assert not broken([program._replace(shape="one row")])
    spilling = loop._replace(counts=loop.counts + collections.Counter(dp4a=14, scratch=1))
    assert len(broken([program._replace(shape="one row", loop=spilling)])) == 1
    assert len(broken([program._replace(shape="one row", lanes=0.5)])) == 1  # so few lanes for as many instructions
    tile = program._replace(kernel="tile", shape=None, loop=loop._replace(counts=collections.Counter(all=5, dpas=2), around=loop.around))
    assert not broken([tile])
    assert len(broken([tile._replace(private=4)])) == 1 and len(broken([tile._replace(spills=4)])) == 1
    assert len(broken([tile._replace(loop=tile.loop._replace(counts=collections.Counter(all=5, dpas=1)))])) == 1
    assert step_share(tile._replace(loop=tile.loop._replace(around=collections.Counter(all=9, dpas=2)))) == 4 / 14
    assert inner_loop(listing.split("L16:")[0]) is None


def main():
    xenon = os.environ.get("XENON", str(ROOT / "build/xenon"))
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        return self_test()
    if not all(map(shutil.which, ["ocloc", "iga64"])):
        print("skipped: ocloc (package intel-opencl-icd) and iga64 (libigc-tools) are not both here")
        return 77
    with tempfile.TemporaryDirectory(prefix="xenon-arc-") as folder:
        if arguments[:1] == ["--loop"]:
            kernel, formats, *shape = arguments[1:]
            for p in compile_jobs(xenon, folder, [(kernel, [formats])]):
                if not shape or shape[0] == (p.shape or "").split(" ")[0]:
                    print(p.loop.text if p.loop else "no loop multiplies")
                    print(p.kernel, p.format, p.shape, f"lanes {p.lanes} registers {p.registers} spilled {p.spills} private {p.private}",
                          dict(p.loop.counts) if p.loop else "", f"{per_weight(p):.2f} a weight" if p.loop and few(p) else "")
            return 0
        version = compiler_version(folder)
        programs = compile_jobs(xenon, folder, CHECKED if arguments == ["--check"] else JOBS)
    made = table(programs, version)
    failures = broken(programs)
    before, standing, after = page_parts()
    if arguments == ["--check"]:
        # Another compiler counts otherwise, and its kernels are held to the bounds alone.
        if f"by ocloc {version}." in standing and not set(made.splitlines()) <= set(standing.splitlines()):
            failures.append(f"{PAGE} is not what the kernels are: run tools/arc_table.py")
    elif arguments:
        raise SystemExit(__doc__)
    else:
        PAGE.write_text(before + BEGIN + made + END + after)
    for line in failures:
        print(line)
    print(f"{len(programs)} programs, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
