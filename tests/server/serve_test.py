#!/usr/bin/env python3
"""`xenon serve` as an operator runs it: where it listens and what it warns of, keys, TLS, models and their names, idle
models, logs, draining, and that it ends in order. Usage: serve_test.py XENON"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from program import Program

PROGRAM = sys.argv[1]
failures = []


def check(good, what):
    if not good:
        failures.append(what)
        print("FAILED:", what, flush=True)


class Server(Program):
    def __init__(self, *options, ready=True, environment=None):
        super().__init__([PROGRAM, "serve", "--port", "0", "-np", "2", "-c", "2048", "-t", "1", *options],
                         awaits="^ready" if ready else "listening on", must=False, environment=environment)

    def ask(self, path, body=None, headers=None, context=None, timeout=60):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=context) as reply:
                return reply.status, reply.read().decode(), reply.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def send(self, n):
        """A request for n tokens (-1: without end), whose answer nobody reads."""
        c = socket.create_connection(("127.0.0.1", self.port))
        text = json.dumps({**LONG, "n_predict": n}).encode()
        c.sendall(b"POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
        return c

    def counts(self):
        """How many requests run, and how many wait."""
        text = self.ask("/metrics")[1]
        return tuple(int(re.search(rf"^llamacpp:requests_{what} (\d+)$", text, re.M).group(1)) for what in ("processing", "deferred"))

    def metrics_with(self, line):
        """The metrics, once they have such a line: an answer's last event comes a little before it is counted."""
        end = time.time() + 20
        text = self.ask("/metrics")
        while time.time() < end and not re.search(line, text[1], re.M):
            time.sleep(0.02)
            text = self.ask("/metrics")
        return text[1]

    def await_counts(self, wanted):
        end = time.time() + 20
        while time.time() < end and self.counts() != wanted:
            time.sleep(0.02)
        return self.counts()


LONG = {"prompt": "Once upon a time", "n_predict": 900, "ignore_eos": True, "stream": True, "context_shift": True}


def alone():
    s = Server()
    check("warning" not in s.text(), f"a warning on loopback: {s.text()}")
    check("listening on http://127.0.0.1:" in s.text(), f"where it listens: {s.text()}")
    status, text, headers = s.ask("/v1/chat/completions", {"messages": [{"role": "user", "content": "a secret"}], "max_tokens": 4, "ignore_eos": True},
                                  {"X-Request-Id": "my-id"})
    check(status == 200 and headers["X-Request-Id"] == "my-id", f"chat: {status} {text}")
    status, text, _ = s.ask("/health")
    check(status == 200 and json.loads(text) == {"status": "ok"}, f"/health: {status} {text}")
    # The page, the metrics and the slots, as others read them.
    status, text, headers = s.ask("/")
    check(status == 200 and "text/html" in headers["Content-Type"], f"/: {status}")
    text = s.metrics_with("^llamacpp:tokens_predicted_total 4$")
    check(re.search("^llamacpp:tokens_predicted_total 4$", text, re.M), f"/metrics: {text[:500]}")
    check(re.search(r'^vllm:time_to_first_token_seconds_count\{model_name="xenon-default-q8_0"\} 1$', text, re.M), "vLLM's names")
    check(len(json.loads(s.ask("/slots")[1])) == 2, "/slots")
    check(json.loads(s.ask("/props")[1])["total_slots"] == 2, "/props")
    status, text, _ = s.ask("/v1/models", headers={"Host": "evil.example"})
    check(status == 403, f"a name that is not this machine's: {status} {text}")
    # A client that goes in the midst of an answer frees its slot.
    c = socket.create_connection(("127.0.0.1", s.port))
    body = json.dumps(LONG).encode()
    c.sendall(b"POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    c.recv(1000)
    c.close()
    end = time.time() + 10
    while time.time() < end and any(slot["is_processing"] for slot in json.loads(s.ask("/slots")[1])):
        time.sleep(0.05)
    check(not any(slot["is_processing"] for slot in json.loads(s.ask("/slots")[1])), "a slot of a client that has gone")
    # Clients that go while they wait for a slot leave the queue, though nothing of theirs has begun.
    running = [s.send(900) for _ in range(2)]
    check(s.await_counts((2, 0)) == (2, 0), f"two run: {s.counts()}")
    waiting = [s.send(900) for _ in range(5)]
    check(s.await_counts((2, 5)) == (2, 5), f"two run and five wait: {s.counts()}")
    for c in waiting:
        c.close()
    check(s.await_counts((2, 0)) == (2, 0), f"who waited has gone: {s.counts()}")
    for c in running:
        c.close()
    check(s.await_counts((0, 0)) == (0, 0), f"all have gone: {s.counts()}")
    check(s.stop() == 0, f"the end: {s.text()}")
    line = next((line for line in s.lines if "id=my-id" in line), "")
    check("POST /v1/chat/completions 200" in line and "generated_tokens=4" in line, f"the log: {line}")
    check("secret" not in s.text(), "the log has what was asked")
    check(any("(gone)" in line for line in s.lines), "the log says that a client went")


def full():
    # Who finds the queue full learns when to ask again, whatever API it is.
    s = Server("--queue", "1")
    held = []
    for counts in ((1, 0), (2, 0), (2, 1)):
        held.append(s.send(-1))
        check(s.await_counts(counts) == counts, f"who runs and who waits: {s.counts()}, not {counts}")
    time.sleep(2.1)  # for so long nobody has left either slot
    chat = {"messages": [{"role": "user", "content": "a"}], "model": "m", "max_tokens": 4}
    for path, body in (("/completion", {**LONG, "n_predict": 4}), ("/v1/embeddings", {"input": "a"}),
                       ("/v1/completions", {"prompt": ["a", "b"], "max_tokens": 4}), ("/v1/chat/completions", {**chat, "n": 2}),
                       ("/v1/messages", chat), ("/api/chat", chat)):
        status, text, headers = s.ask(path, body)
        check(status == 429, f"{path} with a full queue: {status} {text[:300]}")
        seconds = headers.get("Retry-After", "none")
        check(re.fullmatch("[2-9]|[1-5][0-9]|60", seconds), f"{path} with a full queue: Retry-After: {seconds}")
    for c in held:
        c.close()
    check(s.await_counts((0, 0)) == (0, 0), f"all have gone: {s.counts()}")
    check(s.stop() == 0, "the end")


def endings():
    # An answer that runs is ended first; new connections are refused.
    s = Server("--log-format", "json", "--log-prompts")
    reply = {}

    def ask():
        reply["answer"] = s.ask("/completion", {**LONG, "n_predict": 300, "stream": False})

    thread = threading.Thread(target=ask)
    thread.start()
    end = time.time() + 20
    while time.time() < end and not any(slot["is_processing"] for slot in json.loads(s.ask("/slots")[1])):
        time.sleep(0.01)
    s.process.send_signal(signal.SIGTERM)
    s.await_line("still run", 10)
    refused = False
    try:
        socket.create_connection(("127.0.0.1", s.port), 2).close()
    except OSError:
        refused = True
    thread.join(60)
    check(s.wait() == 0, "the end behind an answer")
    check(refused, "a connection while it drains")
    check(reply.get("answer", (0,))[0] == 200 and json.loads(reply["answer"][1])["tokens_predicted"] == 300,
          f"the answer that ran: {reply}")
    logs = [json.loads(line) for line in s.lines if line.startswith("{")]
    line = next((line for line in logs if line.get("path") == "/completion"), {})
    check(line.get("status") == 200 and line.get("generated_tokens") == 300 and "Once upon" in line.get("body", ""),
          f"the JSON log: {line}")
    check(any(line.get("event") == "model" and line.get("what") == "loaded" for line in logs), "the JSON log of a model")
    # A second signal ends at once.
    s = Server("--drain-timeout", "100")

    def ask_in_vain():
        try:
            s.ask("/completion", {**LONG, "n_predict": 1900, "stream": False})
        except (OSError, http.client.HTTPException):
            pass

    thread = threading.Thread(target=ask_in_vain, daemon=True)
    thread.start()
    end = time.time() + 20
    while time.time() < end and not any(slot["is_processing"] for slot in json.loads(s.ask("/slots")[1])):
        time.sleep(0.01)
    s.process.send_signal(signal.SIGINT)
    s.await_line("still run", 10)
    begin = time.time()
    check(s.stop(signal.SIGINT) == 0 and time.time() - begin < 10, "the second signal")


def keys():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "keys")
        with open(path, "w") as file:
            file.write("# ours\n  first-key \n\nsecond-key\n")
        s = Server("--api-key-file", path, "--host", "0.0.0.0", environment={"XENON_API_KEY": "third-key"})
        check("warning" not in s.text(), "a warning with keys")
        check(s.ask("/v1/models")[0] == 401, "without a key")
        check(s.ask("/v1/models", headers={"Authorization": "Bearer # ours"})[0] == 401, "a comment as a key")
        for key in ("first-key", "second-key", "third-key"):
            check(s.ask("/v1/models", headers={"Authorization": "Bearer " + key})[0] == 200, f"the key {key}")
        check(s.ask("/health")[0] == 200 and s.ask("/")[0] == 200, "what needs no key")
        check(s.stop() == 0, "the end")
        with open(path, "w") as file:
            file.write("# none\n")
        s = Server("--api-key-file", path)
        check(s.wait() == 2 or s.process.returncode == 1, "a file without keys")
        check("no key in" in s.text(), f"a file without keys: {s.text()}")
    s = Server("--host", "0.0.0.0")
    check("warning" in s.text(), "no warning without keys")
    check(s.stop() == 0, "the end")


def tls():
    if not shutil.which("openssl"):
        print("no openssl, so TLS is not tried")
        return
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days",
                        "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        s = Server("--ssl-cert-file", certificate, "--ssl-key-file", key)
        check("https://" in s.text(), f"TLS: {s.text()}")
        context = ssl.create_default_context(cafile=certificate)
        status, text, _ = s.ask("/completion", {**LONG, "n_predict": 20}, context=context)
        check(status == 200 and text.count("data: ") >= 20, f"a stream over TLS: {status} {text[-300:]}")
        check(s.ask("/health", context=context)[0] == 200, "TLS")
        check(s.stop() == 0, "the end")
        s = Server("--ssl-cert-file", certificate)
        check(s.wait() != 0 and "--ssl-key-file" in s.text(), f"a certificate without its key: {s.text()}")
        s = Server("--ssl-cert-file", key, "--ssl-key-file", key)
        check(s.wait() != 0 and "certificate" in s.text(), f"no certificate: {s.text()}")


def models(path):
    s = Server("one=" + path, "two=" + path, "three=" + path, "--alias", "gpt-4o", "--alias", "other=two", "--models-max", "2",
               "--idle-timeout", "2")
    listed = {m["id"]: m for m in json.loads(s.ask("/v1/models")[1])["data"]}
    check(list(listed) == ["one", "two", "three"] and listed["one"]["aliases"] == ["gpt-4o"], f"/v1/models: {listed}")
    check({m["status"]["value"] for m in listed.values()} == {"unloaded"}, "nothing is loaded yet")

    def states():
        return [m["status"]["value"] for m in json.loads(s.ask("/v1/models")[1])["data"]]

    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "ignore_eos": True}
    status, text, _ = s.ask("/v1/chat/completions", {**body, "model": "gpt-4o"})
    check(status == 200 and json.loads(text)["model"] == "one", f"an alias: {status} {text}")
    check(states() == ["loaded", "unloaded", "unloaded"], f"{states()}")
    s.ask("/v1/chat/completions", {**body, "model": "other"})
    s.ask("/v1/chat/completions", {**body, "model": "three"})
    check(states() == ["unloaded", "loaded", "loaded"], f"the oldest goes: {states()}")
    status, text, _ = s.ask("/v1/chat/completions", {**body, "model": "four"})
    check(status == 404 and "four" in text, f"an unknown model: {status} {text}")
    status, text, _ = s.ask("/api/chat", {**body, "model": "four"})
    check(status == 404 and "four" in json.loads(text)["error"], f"an unknown model, Ollama: {status} {text}")
    status, text, _ = s.ask("/api/chat", {**body, "model": "two:latest", "keep_alive": 60, "stream": False})
    check(status == 200, f"Ollama's name: {text}")
    counted = r'^llamacpp:tokens_predicted_total\{model="one"\} 2$'
    check(re.search(counted, s.metrics_with(counted), re.M), "counts of a model that went")
    # Who looks all the time keeps nothing.
    end = time.time() + 20
    while time.time() < end and states()[2] != "unloaded":
        for look in ("/metrics", "/slots?model=three", "/props?model=three", "/v1/models/three", "/api/ps", "/health"):
            check(s.ask(look)[0] == 200, look)
        time.sleep(0.1)
    check(states() == ["unloaded", "loaded", "unloaded"], f"what is idle goes, but for what is kept: {states()}")
    s.ask("/models/unload", {"model": "two"})
    time.sleep(0.5)
    check(states()[1] == "unloaded", "unloaded by name")
    check(s.ask("/models/load", {"model": "one"})[0] == 200 and states()[0] == "loaded", "loaded by name")
    check(s.stop() == 0, "the end")
    for options, word in ((["one=" + path, "one=" + path], '"one"'), (["/no/such.gguf"], "/no/such.gguf"),
                          ([path, "--alias", "a=nobody"], "nobody"), (["--models-dir", "/no/such"], "/no/such"),
                          (["--host", "no.such.host.invalid"], "no.such.host.invalid")):
        s = Server(*options)
        check(s.wait() not in (0, "no end") and word in s.text(), f"{options}: {s.text()}")


def broken_model():
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        file.write(b"this is no model")
        file.flush()
        s = Server(file.name)
        check(s.wait() == 1 and "can't" in s.text() or "GGUF" in s.text(), f"a broken model: {s.text()}")


def main():
    root = os.environ.get("XENON_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    path = os.path.join(root, "models", "xenon-default-q8_0.gguf")
    if not os.path.exists(path):
        print("skipped: no default model")
        sys.exit(77)
    os.environ["XENON_DEFAULT_MODEL"] = path
    for part in (alone, full, endings, keys, tls, lambda: models(path), broken_model):
        part()
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
