"""`xenon serve` as a process of a test's own, on a port that is free."""
import os
import re
import signal
import subprocess
import threading
import time


class Program:
    """What it says on standard error stands in `lines`, without line ends; `url` and `port` are where it listens."""

    def __init__(self, command, *, awaits="^ready", seconds=180, must=True, environment=None):
        """command: the program and its arguments. Comes back when a line has `awaits`, or the program has ended; `must`:
        the test ends where it does not listen by then. environment: variables besides ours; None: one that is not there."""
        variables = {**os.environ, **(environment or {})}
        self.lines, self.url, self.port = [], None, None
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, errors="replace",
                                        env={name: value for name, value in variables.items() if value is not None})
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.await_line(awaits, seconds)
        found = re.search(r"listening on (https?)://(\S+):(\d+)", self.text())
        if found:
            self.port = int(found[3])
            self.url = f"{found[1]}://127.0.0.1:{self.port}"
        elif must:
            self.process.kill()
            raise SystemExit("the server did not start:\n" + self.text())

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def text(self, last=0):
        """All lines, or the last ones."""
        return "\n".join(list(self.lines)[-last:])

    def await_line(self, pattern, seconds=180):
        """Whether such a line came, before the program ended and in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(re.search(pattern, line) for line in list(self.lines)):
                return True
            if self.process.poll() is not None:
                self.reader.join(5)
                return any(re.search(pattern, line) for line in self.lines)
            time.sleep(0.02)
        return False

    def stop(self, number=signal.SIGTERM, seconds=60):
        """Ends it as an operator would. Its status."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds=60):
        """Its status when it has ended; "no end": it was killed."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "no end"
        self.reader.join(5)
        return status
