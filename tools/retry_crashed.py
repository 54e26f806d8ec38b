#!/usr/bin/env python3
"""Runs those tests once more that failed only because LeakSanitizer itself crashed.

At a process's end it stops all threads and looks through their stacks; where that finds a driver's threads (PoCL's
sleep until the process is gone, and nobody can end them) in the middle of something, it may die ("Tracer caught signal
11"), and the test fails without anything being wrong.

Usage: retry_crashed.py BUILD-FOLDER    after a ctest that failed; exit 0: each of its failures was such a crash, and is
                                        none the second time
       retry_crashed.py --self-test
"""
import pathlib
import re
import subprocess
import sys
import tempfile

CRASH = "LeakSanitizer has encountered a fatal error"
# What a test says that has failed of itself, whatever crashed behind it.
REPORTS = ["AddressSanitizer", "runtime error:", "detected memory leaks", "ThreadSanitizer", "[  FAILED  ]"]
SECTION = re.compile(r"^(\d+/\d+) Testing: (.*)\n\1 Test: \2\n", re.M)


def outputs(log):
    """What each test printed, by its name, of ctest's LastTest.log."""
    parts = SECTION.split(log)  # what is before the first, then for each: number, name, text
    return dict(zip(parts[2::3], parts[3::3]))


def only_crashed(output):
    return CRASH in output and not any(report in output for report in REPORTS)


def sort_failures(build):
    """The tests that failed: (those whose check crashed, the others)."""
    folder = pathlib.Path(build) / "Testing/Temporary"
    try:
        failed = (folder / "LastTestsFailed.log").read_text().splitlines()
        printed = outputs((folder / "LastTest.log").read_text(errors="replace"))
    except OSError as e:
        print(f"no record of the tests: {e}")
        return [], []
    names = [line.partition(":")[2] for line in failed if line]  # "number:name"
    crashed = [name for name in names if only_crashed(printed.get(name, ""))]
    return crashed, [name for name in names if name not in crashed]


def retry(build):
    crashed, others = sort_failures(build)
    if others:
        print("failed, and not because LeakSanitizer crashed:", " ".join(others))
    if not crashed:
        return 1
    print("LeakSanitizer crashed, so these run once more:", " ".join(crashed), flush=True)
    pattern = "^(" + "|".join(map(re.escape, crashed)) + ")$"
    again = subprocess.run(["ctest", "--test-dir", build, "-R", pattern, "--no-tests=error", "--output-on-failure"])
    return 1 if others or again.returncode else 0


def self_test():
    """ctest itself runs made-up tests, which print what they say; each set of them with what comes of it."""
    crash = f"==7==Tracer caught signal 11: addr=0x0\\n==7=={CRASH}.\\n"
    once = f"test -e again || {{ touch again; printf '{crash}'; exit 23; }}"
    first = "mkdir $0"  # fails when it is run again
    always = f"printf '{crash}'; exit 23"
    cases = [
        ("a crash that is gone the second time", {"one.a": once, "one.ab": first, "one-a": first}, 0),
        ("one that is not", {"one": always}, 1),
        ("a leak before a crash", {"one": f"test -e again || {{ touch again; echo 'ERROR: detected memory leaks'; {always}; }}"}, 1),
        ("an assertion before a crash", {"one": f"test -e again || {{ touch again; echo '[  FAILED  ] x'; {always}; }}"}, 1),
        ("another failure beside", {"one": once, "two": "echo 'ERROR: AddressSanitizer'; exit 1"}, 1),
        ("a failure that passes when run again", {"one": "test -e again || { touch again; exit 1; }"}, 1),
        ("a crash in the output of another test", {"one": f"printf '{crash}'", "two": "test -e again || { touch again; exit 1; }"}, 1),
        ("a test that can't run", {"one": None}, 1),
    ]
    wrong = 0
    for what, tests, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            lines = [f"add_test([[{name}]] {f'sh -c [[{command}]] {name}' if command else '/no/such/program'})\n"
                     for name, command in tests.items()]
            (pathlib.Path(folder) / "CTestTestfile.cmake").write_text("".join(lines))
            run = dict(cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            first = subprocess.run(["ctest", "--test-dir", folder], **run)
            second = subprocess.run([sys.executable, str(pathlib.Path(__file__).resolve()), folder], **run)
            if first.returncode == 0 or second.returncode != expected:
                print(f"{what}: {first.returncode}, then {second.returncode}, not {expected}\n{first.stdout}{second.stdout}")
                wrong += 1
    with tempfile.TemporaryDirectory() as folder:
        if retry(folder) == 0:
            print("a folder without a record passes")
            wrong += 1
    return wrong


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit((1 if self_test() else 0) if sys.argv[1] == "--self-test" else retry(sys.argv[1]))


main()
