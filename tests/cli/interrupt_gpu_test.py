#!/usr/bin/env python3
"""Ctrl-C on a device of OpenCL: while kernels are built, which a progress line says, and in the middle of an answer."""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

XENON, SHARED = os.environ["XENON"], os.environ["XENON_SHARED"]
MODEL = os.path.join(SHARED, "models", "qwen3")


def run_until(pattern, environment, *arguments):
    """Runs the program on a terminal, interrupts it where the pattern is seen; its exit status and what it printed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(XENON, [XENON, "run", MODEL, "Hello", "--device", "gpu0", *arguments], dict(os.environ, **environment))
    seen, sent, end = b"", False, time.monotonic() + 400
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                part = os.read(fd, 65536)
            except OSError:
                part = b""
            if not part:
                break
            seen += part
        if not sent and re.search(pattern, seen):
            os.write(fd, b"\x03")
            sent = True
    else:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return status, seen, sent


def main():
    if not os.path.isdir(MODEL):
        print(f"skipped: no reference model at {MODEL}")
        return 77
    devices = subprocess.run([XENON, "devices"], capture_output=True, text=True).stdout
    if "\ngpu0" not in devices:
        print("skipped: OpenCL has no devices here")
        return 77
    with tempfile.TemporaryDirectory(prefix="xenon-interrupt.") as home:
        os.mkdir(os.path.join(home, "pocl"))
        fresh = {"XDG_CACHE_HOME": home, "POCL_CACHE_DIR": os.path.join(home, "pocl")}
        status, seen, sent = run_until(rb"building kernels +\d+%", fresh)
        assert sent, f"no progress was shown: {seen[-300:]!r}"
        assert status == 130, f"exit status {status} of an interrupted build: {seen[-300:]!r}"
        assert b"cancelled" in seen, f"{seen[-300:]!r}"
    cache = {"XDG_CACHE_HOME": os.environ["XENON_TEST_CACHE"]}
    for seed in range(10):  # a random model may end its answer before the signal comes
        status, seen, sent = run_until(rb"\x1b\[K[^\r\n\x1b]{4}|\A[^\r\n\x1b]{4}", cache, "-c", "4096", "--seed", str(seed), "-n", "2000")
        if sent and status == 130:
            print("both are stopped")
            return 0
        assert status == 0, f"exit status {status}: {seen[-300:]!r}"
    raise AssertionError("no answer was stopped by Ctrl-C")


if __name__ == "__main__":
    sys.exit(main())
