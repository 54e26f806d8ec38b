#!/usr/bin/env python3
"""A load on a server with OpenAI's chat API (ours, llama-server, ...): so many streams at once, each one request behind the
other, every prompt another one. Prints tokens a second of all, time to the first token, and time between tokens.

Usage: serve_load.py URL [--streams 1,8,64] [--seconds 10 | --requests N] [--tokens 64] [--spread 0] [--ramp 0] [--words 60] [--shared] [--json]
  --spread   answers' lengths differ by this part of --tokens, up or down: answers of one length end together, so that
             prompts come in bursts, which people's do not
  --ramp     seconds over which the streams begin, evenly; requests begun during them count for nothing but the total
  --completions  /v1/completions instead of chats: for models of random weights, whose nonsense other servers fail to parse as a chat
  --words    of each prompt; --shared: they all begin alike (the cache of prefixes helps)
  --seconds  of each row: no new request begins after that
One thread watches all sockets and looks for no more than the ends of events, so that the load costs the server little of
its processor. Answers are held to --tokens by ignore_eos; servers that do not know that are measured by what they send.
"""
import argparse
import json
import random
import selectors
import socket
import time
import urllib.parse

WORDS = "the dragon of a small house sings and every day they went far away over hills with bread under red clouds".split()


class Stream:
    def __init__(self, target, options, rng):
        self.target, self.options, self.random = target, options, rng
        self.socket = None

    def begin(self):
        o = self.options
        own = " ".join(self.random.choice(WORDS) for _ in range(o.words))
        text = "Tell a story. " * 8 + own if o.shared else own
        length = max(1, round(o.tokens * (1 + o.spread * self.random.uniform(-1, 1))))
        content = {"prompt": text} if o.completions else {"messages": [{"role": "user", "content": text}]}
        body = json.dumps({"model": o.model, **content, "max_tokens": length, "stream": True,
                           "ignore_eos": True, "temperature": 0.7, "stream_options": {"include_usage": True}}).encode()
        head = (f"POST {self.target.path or ''}/v1/{'' if o.completions else 'chat/'}completions HTTP/1.1\r\nHost: {self.target.netloc}\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                + (f"Authorization: Bearer {o.key}\r\n" if o.key else "") + "\r\n").encode()
        self.socket = socket.create_connection((self.target.hostname, self.target.port or 80), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.start, self.times, self.tail, self.usage, self.status = time.perf_counter(), [], b"", b"", b""
        self.socket.sendall(head + body)
        self.socket.setblocking(False)

    def read(self):
        """True once the reply is over."""
        now = time.perf_counter()
        data = self.socket.recv(262144)
        if not self.status:
            self.status = data[:12]
        # Events that hold text; the one that only gives the role does not count.
        for event in (self.tail + data).split(b"\n\n")[:-1]:
            if b'"text":"' in event.replace(b'": "', b'":"') and b'"text":""' not in event.replace(b'": "', b'":"'):
                self.times.append(now)
            elif b'"content":"' in event.replace(b'": "', b'":"') and b'"content":""' not in event.replace(b'": "', b'":"'):
                self.times.append(now)
            elif b'"reasoning_content":"' in event.replace(b'": "', b'":"'):
                self.times.append(now)
            if b'"completion_tokens"' in event:
                self.usage = event
        self.tail = (self.tail + data).split(b"\n\n")[-1]
        return not data

    def tokens(self):
        at = self.usage.find(b'"completion_tokens"')
        digits = self.usage[at:].split(b":")[1].split(b",")[0].split(b"}")[0] if at >= 0 else b""
        return int(digits) if digits.strip().isdigit() else len(self.times)


def row(target, n, o):
    selector, rng = selectors.DefaultSelector(), random.Random(n)
    firsts, gaps, tokens, done, failed = [], [], 0, 0, 0
    begin, last = time.perf_counter(), 0
    started = 0

    def more():
        return started < o.requests if o.requests else time.perf_counter() - begin < o.seconds

    streams = [Stream(target, o, random.Random(rng.random())) for _ in range(n)]
    waiting = [(begin + o.ramp * i / n, stream) for i, stream in enumerate(streams)]
    while waiting or selector.get_map():
        while waiting and time.perf_counter() >= waiting[0][0]:
            stream = waiting.pop(0)[1]
            if more():
                stream.begin()
                started += 1
                selector.register(stream.socket, selectors.EVENT_READ, stream)
        for key, _ in selector.select(max(0, waiting[0][0] - time.perf_counter()) if waiting else 120):
            stream = key.data
            if not stream.read():
                continue
            selector.unregister(stream.socket)
            stream.socket.close()
            if b" 200" not in stream.status or not stream.times:
                failed += 1
            else:
                done += 1
                tokens += stream.tokens()
                if stream.start >= begin + o.ramp or not o.ramp:
                    firsts.append(stream.times[0] - stream.start)
                gaps += [b - a for a, b in zip(stream.times, stream.times[1:])]
                last = max(last, stream.times[-1])
            if more() and failed < 100:
                stream.begin()
                started += 1
                selector.register(stream.socket, selectors.EVENT_READ, stream)
    part = lambda values, share: sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1e3 if values else float("nan")
    return {"streams": n, "requests": done, "failed": failed, "tokens": tokens, "tokens_per_second": tokens / max(last - begin, 1e-9),
            "first_ms_median": part(firsts, 0.5), "first_ms_95": part(firsts, 0.95), "gap_ms_median": part(gaps, 0.5),
            "gap_ms_95": part(gaps, 0.95)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--streams", default="1,8,64")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--spread", type=float, default=0)
    parser.add_argument("--ramp", type=float, default=0)
    parser.add_argument("--words", type=int, default=60)
    parser.add_argument("--completions", action="store_true")
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--model", default="default")
    parser.add_argument("--key", default="")
    parser.add_argument("--json", action="store_true")
    o = parser.parse_args()
    target = urllib.parse.urlsplit(o.url.rstrip("/"))
    warm = argparse.Namespace(**{**vars(o), "requests": 1, "tokens": 4, "ramp": 0})
    row(target, 1, warm)
    if not o.json:
        print("| streams | requests | tokens/s | first token, median / 95% (ms) | between tokens, median / 95% (ms) |")
        print("| --- | --- | --- | --- | --- |")
    for n in o.streams.split(","):
        r = row(target, int(n), o)
        if o.json:
            print(json.dumps(r), flush=True)
        else:
            print(f"| {r['streams']} | {r['requests']}{' (%d failed)' % r['failed'] if r['failed'] else ''} | {r['tokens_per_second']:.1f} "
                  f"| {r['first_ms_median']:.0f} / {r['first_ms_95']:.0f} | {r['gap_ms_median']:.1f} / {r['gap_ms_95']:.1f} |", flush=True)


main()
