#!/usr/bin/env python3
"""The conversation at a terminal: answers, commands, history, Ctrl-C and Ctrl-D."""
import os
import pty
import re
import select
import signal
import sys
import tempfile
import time

XENON, SHARED = os.environ["XENON"], os.environ["XENON_SHARED"]
MODEL = os.path.join(SHARED, "models", "qwen3")
PROMPT = b"> "
CTRL_C, CTRL_D, UP = b"\x03", b"\x04", b"\x1b[A"


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, home, *arguments):
        environment = dict(os.environ, XDG_STATE_HOME=home, HOME=home, TERM="xterm", LANG="C.UTF-8")
        environment.pop("XENON_DEFAULT_MODEL", None)
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(XENON, [XENON, "run", MODEL, *arguments], environment)

    def read(self, seconds):
        """Reads what comes within that time; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            part = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += part
        return bool(part)

    def expect(self, pattern, seconds=60):
        """Waits until the pattern comes after what was expected before; returns what came up to its end."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.seen)
            if found:
                text, self.seen = self.seen[: found.end()], self.seen[found.end():]
                return text
            if time.monotonic() > end:
                raise AssertionError(f"{pattern!r} did not come; last seen: {self.seen[-400:]!r}")
            if not self.read(0.1) and not re.search(pattern, self.seen):
                raise AssertionError(f"ended before {pattern!r}; last seen: {self.seen[-400:]!r}")

    def send(self, data):
        os.write(self.fd, data)

    def exit_status(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"did not exit; last seen: {self.seen[-400:]!r}")

    def running(self):
        return os.waitpid(self.pid, os.WNOHANG)[0] == 0


def numbers(text):
    """Prompt tokens, and those of them that were computed."""
    found = re.search(rb"prompt: (\d+) tokens \((\d+) computed\)", text)
    return int(found[1]), int(found[2])


def test_turns_reuse_the_cache(home):
    t = Terminal(home, "-n", "8", "--temp", "0")
    t.expect(PROMPT)
    t.send("Hello, naïve 東京\n".encode())
    first, computed = numbers(t.expect(rb"memory: [^\n]*\n"))
    assert first == computed, "the first turn computes everything"
    t.expect(PROMPT)
    t.send(b"And again\n")
    second, computed = numbers(t.expect(rb"memory: [^\n]*\n"))
    assert second > first, "the second prompt holds the first turn"
    assert computed <= second - first, f"{computed} of {second} tokens computed again, {first} were there"
    t.expect(PROMPT)
    t.send(b"/clear\n")
    t.expect(rb"new conversation")
    t.expect(PROMPT)
    t.send("Hello, naïve 東京\n".encode())
    third, _ = numbers(t.expect(rb"memory: [^\n]*\n"))
    assert third == first, "after /clear the prompt is as at first"
    t.expect(PROMPT)
    t.send(b"/exit\n")
    assert t.exit_status() == 0


def test_commands(home):
    t = Terminal(home, "-n", "4", "-q")
    t.expect(PROMPT)
    t.send(b"/help\n")
    t.expect(rb"/clear")
    t.expect(PROMPT)
    t.send(b"/hlep\n")
    t.expect(rb"did you mean /help")
    t.expect(PROMPT)
    t.send(b"\n")  # an empty line is no turn
    t.expect(PROMPT)
    t.send(CTRL_D)
    assert t.exit_status() == 0


def test_history(home):
    t = Terminal(home, "-n", "2", "-q")
    t.expect(PROMPT)
    t.send(b"/help unforgettable\n")
    t.expect(rb"unforgettable")
    t.expect(PROMPT)
    t.send(CTRL_D)
    assert t.exit_status() == 0
    path = os.path.join(home, "xenon", "history")
    assert os.stat(path).st_mode & 0o077 == 0, "the history is private"
    t = Terminal(home, "-n", "2", "-q")
    t.expect(PROMPT)
    t.send(UP)
    t.expect(rb"unforgettable")
    t.send(b"\n")
    t.expect(PROMPT)
    t.send(CTRL_D)
    assert t.exit_status() == 0


def test_interrupt_stops_the_answer(home):
    t = Terminal(home, "--device", "reference", "-c", "4096", "--seed", "3", "--repeat-penalty", "1.3")
    t.expect(PROMPT)
    for attempt in range(10):  # a random model may end its answer before the signal comes
        t.send(f"Tell me a long story, number {attempt}\n".encode())
        t.expect(rb"story, number \d\r\n")
        t.expect(rb"[^\r\n]{8}")
        t.send(CTRL_C)
        answer = t.expect(rb"memory: [^\n]*\n")
        t.expect(PROMPT)
        if b"(stopped)" in answer:
            break
    else:
        raise AssertionError("no answer was stopped by Ctrl-C")
    assert t.running(), "Ctrl-C ended the program"
    t.send(b"/help\n")
    t.expect(rb"/clear")
    t.expect(PROMPT)
    t.send(b"half a line" + CTRL_C)
    t.expect(rb"again leaves")
    t.expect(PROMPT)
    assert t.running(), "one Ctrl-C at the prompt ended the program"
    t.send(CTRL_C)
    assert t.exit_status() == 0


def test_interrupt_while_it_is_typed_again(home):
    t = Terminal(home, "-n", "2", "-q")
    t.expect(PROMPT)
    for _ in range(3):  # a line between two of them: no exit
        t.send(CTRL_C)
        t.expect(rb"again leaves")
        t.expect(PROMPT)
        t.send(b"/help\n")
        t.expect(rb"/clear")
        t.expect(PROMPT)
    t.send(CTRL_C)
    t.expect(PROMPT)
    t.send(CTRL_C)
    assert t.exit_status() == 0


def test_interrupt_of_a_single_answer(home):
    for seed in range(10):  # a random model may end its answer before the signal comes
        t = Terminal(home, "Hello", "--device", "reference", "-c", "4096", "--seed", str(seed))
        t.expect(rb"[^\r\n]{4}")
        t.send(CTRL_C)
        status = t.exit_status()
        if status == 130:
            return
        assert status == 0, f"exit status {status}"
    raise AssertionError("no answer was stopped by Ctrl-C")


def test_context_full(home):
    t = Terminal(home, "-c", "64", "-q", "--temp", "0")
    t.expect(PROMPT)
    t.send(b"word " * 100 + b"\n")
    t.expect(rb"context room for 64[^\n]*/clear")
    t.expect(PROMPT)
    t.send(b"Hello\n")
    t.expect(PROMPT)
    t.send(CTRL_D)
    assert t.exit_status() == 0


def main():
    if not os.path.isdir(MODEL):
        print(f"skipped: no reference models at {SHARED}")
        return 77
    failures = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        with tempfile.TemporaryDirectory() as home:
            try:
                test(home)
                print(f"ok      {name}")
            except AssertionError as failure:
                failures += 1
                print(f"FAILED  {name}: {failure}")
    return 1 if failures else 0


sys.exit(main())
