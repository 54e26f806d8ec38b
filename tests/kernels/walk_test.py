#!/usr/bin/env python3
"""NVIDIA's walk on this processor: a program of the engine (walk_test.c) meets no GPU's driver but emulator.c, which compiles what it is
given for this processor (emulate.py) and runs all groups of a launch by turns. Arguments: the program and what it takes. Exit 77 where clang
is missing."""
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

import lanes


def main():
    if not lanes.find_clang() or platform.machine() != "x86_64":
        print("skipped: no clang for x86-64")
        return 77
    with tempfile.TemporaryDirectory(prefix="xenon-walk-") as folder:
        driver = pathlib.Path(folder) / "libOpenCL.so.1"
        build = subprocess.run([lanes.find_clang(), "-O2", "-Wall", "-Wno-unused-function", "-Wno-deprecated-non-prototype", "-Wno-unknown-warning-option",
                                "-Werror", "-shared", "-fPIC", "-Wl,-soname,libOpenCL.so.1", lanes.HERE / "emulator.c", "-lm", "-o", driver],
                               capture_output=True, text=True)
        if build.returncode:
            print(build.stderr[:4000])
            return 1
        environment = dict(os.environ, LD_LIBRARY_PATH=folder, XENON_EMULATOR=folder, XENON_EMULATE=str(lanes.HERE / "emulate.py"))
        return subprocess.run(sys.argv[1:], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
