"""The clients that people use, installed from PyPI, against `xenon serve` with the default model: openai, anthropic,
langchain-openai, litellm, ollama. The environment they are installed into is kept in the build folder. Skipped, with a
word of it, only where PyPI can't be reached."""

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from program import Program

BUILD = Path(os.environ["XENON_BUILD"])
SOURCE = Path(os.environ["XENON_SOURCE"])
DEFAULT = SOURCE / "models" / "xenon-default-q8_0.gguf"
CLIENTS = ("openai", "anthropic", "langchain", "litellm", "ollama")
REQUIREMENTS = HERE / "requirements.txt"
MODEL = "xenon-default"


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def environment():
    """The python of an environment with the clients; made where it is not there yet."""
    folder = BUILD / "clients-venv"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    python, stamp = folder / "bin" / "python", folder / "complete"
    if stamp.exists() and stamp.read_text() == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=120)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--retries", "2", "--timeout", "20"]
    done = subprocess.run([*pip, "install", "-q", "-r", REQUIREMENTS], capture_output=True, text=True, timeout=1200)
    if done.returncode:
        # A package that is small and always there: whether the index answers at all.
        reached = subprocess.run([*pip, "download", "-q", "--no-deps", "-d", folder / "reached", "six"],
                                 capture_output=True, timeout=120)
        if reached.returncode:
            skip(f"PyPI can't be reached: {done.stderr.strip().splitlines()[-1]}")
        sys.exit(f"the clients can't be installed:\n{done.stderr}")
    stamp.write_text(digest)
    return python


def serve(key):
    """The default model under two names, so that others are unknown."""
    return Program([os.environ["XENON"], "serve", f"{MODEL}={DEFAULT}", f"other={DEFAULT}", "--port", "0", "--api-key", key,
                    "--log-format", "none", "--drain-timeout", "10"])


def main():
    if not DEFAULT.exists():
        sys.exit(f"no default model at {DEFAULT}")
    python = environment()
    key = secrets.token_hex(8)
    server = serve(key)
    failed = []
    for client in CLIENTS:
        begin = time.monotonic()
        variables = os.environ | {"XENON_URL": server.url, "XENON_KEY": key, "XENON_MODEL": MODEL,
                                  "PYTHONWARNINGS": "ignore", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        try:
            done = subprocess.run([python, HERE / f"{client}_client.py"], env=variables, capture_output=True, text=True,
                                  timeout=120)
            output, status = done.stdout, done.returncode
            if status and not output:
                output = done.stderr[-3000:]
        except subprocess.TimeoutExpired as late:
            output, status = (late.stdout or b"").decode(), "timeout"
        print(f"{client}: {output.strip()} ({time.monotonic() - begin:.1f} s)")
        if status:
            failed.append(client)
        if server.process.poll() is not None:
            failed.append("server")
            print("the server is gone:\n" + server.text(20))
            break
    status = 0 if server.process.poll() is not None else server.stop(seconds=30)
    if status:
        print(f"the server ended with {status}:\n" + server.text(20))
        failed.append("server")
    if failed:
        sys.exit("failed: " + ", ".join(failed))


main()
