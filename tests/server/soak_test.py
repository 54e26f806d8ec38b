#!/usr/bin/env python3
"""Fires requests of every kind at one server from many threads: answers that are read to their end and checked, clients
that go in the midst of them, that read slowly or not at all, broken bodies, rubbish in place of HTTP. Holds that nothing
mixes (an answer is held by a grammar to a word that only its request knows), that nothing stays behind (no slot, no
request), that memory stays flat, and that the server ends in order, without a word from a sanitizer.

Usage: soak_test.py XENON [--requests N | --seconds S] [--threads N] [--seed N] [--model PATH] [-- OPTION...]
       XENON is the program; what follows -- is given to `xenon serve`
The short form of `make test` is bounded by --seconds; the long one is --requests 10000.
"""
import argparse
import collections
import http.client
import json
import os
import random
import re
import socket
import sys
import threading
import time

from program import Program

PAGES = ["/health", "/metrics", "/slots", "/props", "/v1/models", "/api/tags", "/api/ps", "/api/version", "/", "/dashboard"]
NOISE = ("AddressSanitizer", "LeakSanitizer", "UndefinedBehavior", "runtime error:", "ThreadSanitizer")


class Server(Program):
    def __init__(self, program, options):
        super().__init__([program, "serve", "--port", "0", *options])

    def noise(self):
        """What a sanitizer says, and all behind it."""
        first = next((i for i, line in enumerate(self.lines) if any(word in line for word in NOISE)), len(self.lines))
        return self.lines[first:]

    def memory(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            found = re.search(r"VmRSS:\s+(\d+)", status.read())
        return int(found.group(1)) * 1024 if found else 0 # it has just ended


class Failure(Exception):
    pass


class Client:
    """What one thread does; each method is one request."""

    def __init__(self, port, seed):
        self.port = port
        self.random = random.Random(seed)
        self.counts = collections.Counter()

    # --- plumbing
    def connection(self, patience=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)

    def socket(self, small=False):
        s = socket.socket()
        if small:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.settimeout(60)
        s.connect(("127.0.0.1", self.port))
        return s

    def post(self, path, body):
        c = self.connection()
        try:
            c.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            reply = c.getresponse()
            return reply.status, reply.read(), reply
        finally:
            c.close()

    def raw(self, path, body):
        data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        return b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data

    # A word that no other request has; the grammar leaves nothing else to say.
    def word(self):
        return "w" + "".join(self.random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(12))

    def prompt(self):
        words = ["the", "dragon", "of", "a", "small", "house", "sings", "and", "every", "day", "they", "went"]
        return " ".join(self.random.choice(words) for _ in range(self.random.choice([3, 10, 40, 150])))

    def chat_body(self, word, **more):
        return {"messages": [{"role": "user", "content": self.prompt()}], "max_tokens": 40,
                "grammar": 'root ::= "%s"' % word, **more}

    def check(self, status, text, word):
        if status in (429, 503):
            self.counts["busy"] += 1
            return
        if status != 200:
            raise Failure(f"status {status}: {text[:300]!r}")
        if text != word:
            raise Failure(f"an answer is {text[:200]!r}, and not {word!r}")

    # --- requests that are answered
    def chat(self):
        word = self.word()
        status, data, _ = self.post("/v1/chat/completions", self.chat_body(word))
        text = json.loads(data)["choices"][0]["message"]["content"] if status == 200 else data
        self.check(status, text, word)

    def chat_stream(self):
        word = self.word()
        status, data, _ = self.post("/v1/chat/completions",
                                    self.chat_body(word, stream=True, stream_options={"include_usage": True}))
        text = data
        if status == 200:
            events = [line[6:] for line in data.decode().split("\n") if line.startswith("data: ")]
            if events[-1] != "[DONE]":
                raise Failure(f"a stream ends with {events[-1][:200]!r}")
            chunks = [json.loads(e) for e in events[:-1]]
            if any("error" in c for c in chunks):
                raise Failure(f"an error in a stream: {chunks[-1]}")
            text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])
            if len({c["id"] for c in chunks}) != 1:
                raise Failure("chunks of several answers in one stream")
        self.check(status, text, word)

    def several(self):
        word = self.word()
        status, data, _ = self.post("/v1/chat/completions", self.chat_body(word, n=3))
        if status != 200:
            return self.check(status, data, word)
        for choice in json.loads(data)["choices"]:
            self.check(status, choice["message"]["content"], word)

    def completion(self):
        word = self.word()
        body = {"prompt": self.prompt(), "n_predict": 40, "grammar": 'root ::= "%s"' % word,
                "stream": self.random.random() < 0.5}
        status, data, _ = self.post("/completion", body)
        text = data
        if status == 200 and body["stream"]:
            events = [json.loads(line[6:]) for line in data.decode().split("\n") if line.startswith("data: ")]
            if not events[-1].get("stop"):
                raise Failure(f"a stream ends with {events[-1]}")
            text = "".join(e["content"] for e in events)
        elif status == 200:
            text = json.loads(data)["content"]
        self.check(status, text, word)

    def ollama(self):
        body = {"model": "any", "messages": [{"role": "user", "content": self.prompt()}],
                "options": {"num_predict": self.random.randint(1, 20)}, "stream": self.random.random() < 0.5}
        status, data, _ = self.post("/api/chat", body)
        if status == 200:
            last = json.loads(data.decode().strip().split("\n")[-1])
            if not last["done"] or last["eval_count"] > body["options"]["num_predict"]:
                raise Failure(f"the last line is {last}")
        else:
            self.check(status, data, "")

    def anthropic(self):
        status, data, _ = self.post("/v1/messages", {
            "model": "any", "max_tokens": self.random.randint(1, 20), "stream": self.random.random() < 0.5,
            "messages": [{"role": "user", "content": self.prompt()}]})
        if status == 200:
            if b"message_stop" not in data and b'"stop_reason"' not in data:
                raise Failure(f"a message has no end: {data[-200:]!r}")
        else:
            self.check(status, data, "")

    def page(self):
        c = self.connection()
        try:
            path = self.random.choice(PAGES)
            c.request("GET", path)
            reply = c.getresponse()
            reply.read()
            if reply.status not in (200, 503):
                raise Failure(f"{path}: status {reply.status}")
        finally:
            c.close()

    def tokens(self):
        text = self.prompt()
        status, data, _ = self.post("/tokenize", {"content": text})
        if status == 200:
            status, data, _ = self.post("/detokenize", {"tokens": json.loads(data)["tokens"]})
            if status == 200 and json.loads(data)["content"].strip() != text:
                raise Failure(f"{text!r} comes back as {data!r}")
        if status != 200:
            self.check(status, data, "")

    def embed(self):
        status, data, _ = self.post("/v1/embeddings", {"input": [self.prompt() for _ in range(3)]})
        if status != 200:
            self.check(status, data, "")
        elif len(json.loads(data)["data"]) != 3:
            raise Failure("three texts have not three vectors")

    # --- clients that go
    def long_body(self, **more):
        return {"messages": [{"role": "user", "content": self.prompt() * self.random.choice([1, 1, 4])}],
                "max_tokens": 400, "ignore_eos": True, "stream": True, **more}

    def leave(self):
        """Reads some of a stream, and is gone."""
        s = self.socket()
        path = self.random.choice(["/v1/chat/completions", "/api/chat", "/v1/chat/completions"])
        s.sendall(self.raw(path, self.long_body(stream=self.random.random() < 0.8)))
        wanted = self.random.choice([0, 0, 1, 500, 3000])
        s.settimeout(self.random.choice([0.01, 0.2, 3]))
        try:
            while wanted > 0:
                got = s.recv(min(wanted, 4096))
                if not got:
                    break
                wanted -= len(got)
        except TimeoutError:
            pass
        if self.random.random() < 0.3:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        elif self.random.random() < 0.3:
            s.shutdown(socket.SHUT_WR)
            time.sleep(0.05)
        s.close()

    def slow_reader(self):
        s = self.socket(small=True)
        s.sendall(self.raw("/v1/chat/completions", self.long_body(logprobs=True, top_logprobs=20)))
        end = time.time() + self.random.choice([0.5, 1.5, 3])
        while time.time() < end:
            try:
                if not s.recv(256):
                    break
            except (TimeoutError, ConnectionError):
                break
            time.sleep(0.02)
        s.close()

    def pipeline(self):
        s = self.socket()
        get = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        s.sendall(get * 5 + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        data = b""
        while True:
            got = s.recv(65536)
            if not got:
                break
            data += got
        s.close()
        if data.count(b"HTTP/1.1 200") + data.count(b"HTTP/1.1 503") != 6:
            raise Failure(f"six requests in a row have {data.count(b'HTTP/1.1')} replies")

    # --- broken requests
    def broken(self):
        """A right body with some bytes changed, or a wrong one; any status but a server's fault will do."""
        r = self.random
        kind = r.randint(0, 6)
        path = r.choice(["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses", "/completion", "/infill",
                         "/api/chat", "/api/generate", "/api/embed", "/api/show", "/tokenize", "/detokenize", "/v1/rerank",
                         "/apply-template", "/v1/embeddings", "/models/load"])
        data = bytearray(json.dumps({
            "messages": [{"role": "user", "content": "hello"}], "prompt": "hello", "content": "hello", "input": "hello",
            "tokens": [1, 2, 3], "max_tokens": 3, "n_predict": 3, "options": {"num_predict": 3}, "temperature": 0.5,
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "stop": ["x"], "logit_bias": {"5": 1}, "documents": ["a", "b"], "query": "a", "stream": False}).encode())
        if kind == 0:
            for _ in range(r.randint(1, 8)):
                data[r.randrange(len(data))] = r.randrange(256)
        elif kind == 1:
            data = data[:r.randrange(len(data))]
        elif kind == 2:
            value = json.loads(data)
            wrong = [None, -1, 1e300, "", "x", [], {}, [[]], True, "\0", "\ud800", [1, "a", None], 2**63 - 1, {"a": {"b": []}}]
            for key in r.sample(sorted(value), r.randint(1, 3)):
                value[key] = r.choice(wrong)
            value.setdefault("max_tokens", 3)
            if not isinstance(value["max_tokens"], int) or not 0 < value["max_tokens"] < 10:
                value["max_tokens"] = 3
            value["n_predict"] = 3
            data = json.dumps(value).encode("utf-8", "surrogatepass")
        elif kind == 3:
            data = r.choice([b"[" * 5000, b'{"a":' * 3000, b"", b"null", b"[1,2]", b"\xff\xfe", b'{"messages":' + b"9" * 5000])
        elif kind == 4:
            data = bytes(r.randrange(256) for _ in range(r.randint(1, 300)))
        elif kind == 5:
            value = json.loads(data)
            value[r.choice(["grammar", "json_schema", "format", "response_format", "chat_template_kwargs"])] = r.choice([
                "root ::= root", "root ::= (", "x", {"type": "object", "properties": {"a": {"$ref": "#"}}}, {"type": "nope"},
                {"type": "json_schema", "json_schema": {"schema": {"enum": []}}}, {"messages": 3}, {"pattern": "(((a*)*)*)*"}])
            data = json.dumps(value).encode()
        else:  # the body is shorter than it was said to be
            s = self.socket()
            s.sendall(self.raw(path, bytes(data))[:-r.randint(1, len(data))])
            time.sleep(r.choice([0, 0.02]))
            s.close()
            return
        c = self.connection()
        try:
            c.request("POST", path, bytes(data))
            reply = c.getresponse()
            text = reply.read()
            if reply.status == 500:
                raise Failure(f"{path} {bytes(data)[:400]!r}: status 500 {text[:300]!r}")
        finally:
            c.close()

    def rubbish(self):
        s = self.socket()
        text = bytearray(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\nX: y\r\n\r\n01234567890123456789")
        for _ in range(self.random.randint(1, 10)):
            text[self.random.randrange(len(text))] = self.random.randrange(256)
        s.settimeout(0.05)
        try:
            s.sendall(bytes(text[:self.random.randint(1, len(text))]))
            s.recv(1000)
        except OSError:
            pass
        s.close()

    KINDS = [("chat", 10), ("chat_stream", 14), ("several", 3), ("completion", 8), ("ollama", 6), ("anthropic", 6), ("page", 8),
             ("tokens", 4), ("embed", 3), ("leave", 18), ("slow_reader", 3), ("pipeline", 2), ("broken", 18), ("rubbish", 6)]

    def one(self):
        names, weights = zip(*self.KINDS)
        name = self.random.choices(names, weights)[0]
        self.counts[name] += 1
        try:
            getattr(self, name)()
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from None
        except (OSError, http.client.HTTPException) as error:
            if name not in ("leave", "slow_reader", "rubbish", "broken"):
                raise Failure(f"{name}: {error!r}") from None


def get(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        c.request("GET", path)
        return c.getresponse().read().decode()
    finally:
        c.close()


def busy(port):
    metrics = get(port, "/metrics")
    left = [line for line in metrics.split("\n") if re.match(r"llamacpp:requests_(processing|deferred)\b.* [^0]", line)]
    left += [f"slot {slot['id']}" for slot in json.loads(get(port, "/slots")) if slot["is_processing"]]
    return left


def run(server, o):
    state = {"left": o.requests or 1 << 60, "failures": []}
    lock = threading.Lock()
    end = time.time() + o.seconds if o.seconds else None
    clients = [Client(server.port, o.seed * 1000 + i) for i in range(o.threads)]
    total = o.requests

    def work(client):
        while True:
            with lock:
                if state["left"] <= 0 or len(state["failures"]) >= 10 or (end and time.time() > end):
                    return
                state["left"] -= 1
            try:
                client.one()
            except Failure as failure:
                with lock:
                    state["failures"].append(str(failure))

    threads = [threading.Thread(target=work, args=(c,), daemon=True) for c in clients]
    begin, memory, told = time.time(), [], time.time()
    for thread in threads:
        thread.start()
    while any(t.is_alive() for t in threads):
        time.sleep(0.2)
        if server.process.poll() is not None:
            state["failures"].append(f"the server ended with {server.process.returncode}")
            break
        done = (total or 1 << 60) - state["left"]
        memory.append((done, server.memory()))
        if total and time.time() - told > 30:
            told = time.time()
            print(f"{done} requests, {memory[-1][1] >> 20} MiB, {len(state['failures'])} failures", flush=True)
    counts = sum((c.counts for c in clients), collections.Counter())
    return counts, state["failures"], memory, time.time() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", default=None)
    parser.add_argument("--memory", type=float, default=64, help="MiB that it may grow by after its first third")
    arguments, options = sys.argv[1:], []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, options = arguments[:at], arguments[at + 1:]
    o = parser.parse_args(arguments)
    if not o.requests and not o.seconds:
        o.seconds = 12
    # Freed memory that a sanitizer keeps would look like a leak.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "detect_leaks=1:use_sigaltstack=0") + ":quarantine_size_mb=16"
    server = Server(o.program, ([o.model] if o.model else []) + ["-np", "6", "-c", "4096", "--queue", "64", "--cache-ram", "16",
                                                                 "--log-format", "none", "--timeout", "20", *options])
    counts, failures, memory, seconds = run(server, o)
    alive = server.process.poll() is None
    left = ["the server is gone"] if not alive else []
    for _ in range(100 if alive else 0):
        left = busy(server.port)
        if not left:
            break
        time.sleep(0.2)
    if left:
        failures.append(f"still busy after the last request: {left}")
    if len(memory) > 30:
        third = max(m for _, m in memory[len(memory) // 4:len(memory) // 3 + 1])
        last = max(m for _, m in memory[-len(memory) // 6:])
        if last - third > o.memory * 2**20:
            failures.append(f"memory grew from {third >> 20} to {last >> 20} MiB")
    status = server.stop()
    if status != 0:
        failures.append(f"the server ended with {status}")
    if server.noise():
        failures.append("a sanitizer says:\n  " + "\n  ".join(server.noise()[:60]))
    print(f"{sum(counts.values())} requests in {seconds:.1f} s: " + ", ".join(f"{k} {v}" for k, v in sorted(counts.items())))
    if memory:
        print("memory (MiB): " + " ".join(str(memory[i][1] >> 20) for i in range(0, len(memory), max(1, len(memory) // 12))))
    for failure in failures:
        print("FAILED:", failure)
    if failures:
        print("the server's last words:", *server.lines[-10:], sep="\n  ")
    sys.exit(1 if failures else 0)


main()
