#!/usr/bin/env python3
"""Holds the sources to the house rules that a compiler does not know.

  layering     a floor of src/ includes itself and the floors that FLOORS names for it, nothing else
  intrinsics   vector intrinsics stand only in the folder of an instruction set, src/cpu/<isa>/
  silence      nothing below src/cli prints to the terminal or ends the process (tests may)

Usage: check_layering.py [ROOT]     prints FILE:LINE: MESSAGE for each violation; exit 1 if there are any
       check_layering.py --self-test   checks that each rule finds its violation
"""
import pathlib
import re
import sys
import tempfile

BELOW_MODEL = ["base", "quant", "format", "text"]
BELOW_DEVICE = BELOW_MODEL + ["model"]
PROCESSORS = ["cpu", "opencl"]
# What each floor may include besides itself. The engine holds a device and never knows which.
FLOORS = {
    "base": [],
    "quant": ["base"],
    "format": ["base", "quant"],
    "text": ["base", "quant", "format"],
    "model": BELOW_MODEL,
    "device": BELOW_DEVICE,
    "cpu": BELOW_DEVICE + ["device"],
    "opencl": BELOW_DEVICE + ["device"],
    "check": BELOW_DEVICE + ["device"] + PROCESSORS,
    "engine": BELOW_DEVICE + ["device"],
    "api": BELOW_DEVICE + ["device", "engine"] + PROCESSORS,
    "server": BELOW_DEVICE + ["device", "engine", "api"] + PROCESSORS,
    "cli": BELOW_DEVICE + ["device", "engine", "api", "server", "check"] + PROCESSORS,
}
# What the tests of a floor may include on top: a device's are cases of the checker.
TESTS = {floor: ["check"] for floor in PROCESSORS}
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)
INTRINSIC = re.compile(r"\b_mm\d*_\w+|\b__m(?:128|256|512)\w*|\b__builtin_ia32_\w+|\b_tile_\w+|<\w*intrin\.h>")
PAUSE = {"_mm_pause", "__builtin_ia32_pause"}  # a hint of a spinning thread, no vector code
NOISE = re.compile(
    r"\b(?:printf|vprintf|puts|putchar|perror|exit|_exit|_Exit|quick_exit|abort)\s*\("
    r"|\bv?fprintf\s*\(\s*(?:stdout|stderr)\b|\bf?put[cs]\s*\([^;]*\b(?:stdout|stderr)\b"
)
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """The text without comments and the insides of literals; line numbers stay. Include lines keep their names."""

    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            return token if re.match(r"\s*#\s*include\s*$", line) else token[0] * 2
        return "\n" * token.count("\n") or " "

    return COMMENT_OR_STRING.sub(blank, text)


def test_files(source, paths):
    """Tests, and headers that nothing but tests includes."""
    includers = {}
    for path in paths:
        for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
            for target in (source / match.group(1), path.parent / match.group(1)):
                includers.setdefault(target, set()).add(path)
    tests = {path for path in paths if path.name.endswith("_test.c")}
    grown = True
    while grown:
        more = {path for path in paths if path not in tests and includers.get(path) and includers[path] <= tests}
        tests |= more
        grown = bool(more)
    return tests


def violations(root):
    source = root / "src"
    paths = sorted(source.rglob("*.[ch]"))
    tests = test_files(source, paths)
    for path in paths:
        parts = path.relative_to(source).parts
        floor = parts[0]
        is_test = path in tests
        if len(parts) < 2 or floor not in FLOORS:
            yield path, 1, "stands in no known floor of src/"
            continue
        isa_folder = floor == "cpu" and len(parts) > 2 and parts[1] not in ("c", "ops")
        for number, line in enumerate(code_only(path.read_text(encoding="utf-8")).split("\n"), 1):
            include = INCLUDE.match(line)
            if include:
                target = include.group(1).split("/")[0]
                known = "/" in include.group(1) and target in FLOORS
                allowed = [floor] + FLOORS[floor] + (TESTS.get(floor, []) if is_test else [])
                if known and target not in allowed:
                    yield path, number, f'{floor} may not include "{include.group(1)}"'
            for intrinsic in INTRINSIC.findall(line):
                if not isa_folder and intrinsic not in PAUSE:
                    yield path, number, f"{intrinsic} outside src/cpu/<isa>/"
                    break
            if floor != "cli" and not is_test and NOISE.search(line):
                yield path, number, f"prints or ends the process below src/cli: {NOISE.search(line).group(0).strip()}"


def self_test():
    cases = {  # path -> (text, what must be said of it; None: nothing)
        "src/base/a.c": ('#include "quant/format.h"\n', "base may not include"),
        "src/engine/b.c": ('#include "cpu/cpu.h"\n', "engine may not include"),
        "src/cpu/c.c": ("#include <immintrin.h>\n", "outside src/cpu/<isa>/"),
        "src/cpu/ops/d.c": ("void f(void) { __m256 x; }\n", "outside src/cpu/<isa>/"),
        "src/model/e.c": ('void f(void) { fprintf(stderr, "x"); }\n', "prints or ends"),
        "src/text/f.c": ("void f(void) { exit (1); }\n", "prints or ends"),
        "src/attic/g.c": ("int x;\n", "no known floor"),
        "src/cpu/avx2/h.c": ("#include <immintrin.h>\n__m256 x;\n", None),
        "src/base/i.c": ('// exit(1) and "cpu/cpu.h"\nvoid f(void) { _mm_pause(); snprintf(0, 0, "exit(1)"); }\n', None),
        "src/cpu/o.c": ('#include "check/p.h"\n', "cpu may not include"),
        "src/cpu/o_test.c": ('#include "check/p.h"\n', None),
        "src/check/p.h": ('#include "cpu/q.h"\n', None),
        "src/cli/j.c": ('#include "cpu/cpu.h"\nvoid f(void) { printf("x"); }\n', None),
        "src/quant/k_test.c": ('#include "base/error.h"\n#include "quant/l.h"\nvoid f(void) { printf("x"); }\n', None),
        "src/quant/l.h": ("static inline void f(void) { abort(); }\n", None),
        "src/quant/m.h": ("static inline void f(void) { abort(); }\n", "prints or ends"),
        "src/quant/n.c": ('#include "quant/m.h"\n', None),
        "src/quant/n_test.c": ('#include "quant/m.h"\n', None),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, (text, _) in cases.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        found = {}
        for path, _, message in violations(root):
            found.setdefault(path.relative_to(root).as_posix(), []).append(message)
    wrong = 0
    for name, (_, expected) in cases.items():
        got = found.get(name, [])
        if (expected is None) != (not got) or (expected and not any(expected in m for m in got)):
            print(f"{name}: expected {expected!r}, found {got!r}")
            wrong += 1
    return wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    found = list(violations(root))
    for path, line, message in found:
        print(f"{path.relative_to(root)}:{line}: {message}")
    sys.exit(1 if found else 0)


main()
