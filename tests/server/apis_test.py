#!/usr/bin/env python3
"""OpenAI's and Anthropic's APIs over HTTP, of a real server with the default model: `xenon serve`.

Usage: apis_test.py XENON MODEL    exit 0: all held; 77: no model
"""
import base64
import http.client
import json
import os
import random
import socket
import struct
import sys
import threading
import time

from program import Program

CHECKS = []


def check(test):
    CHECKS.append(test)
    return test


class Server(Program):
    def __init__(self, xenon, model):
        super().__init__([xenon, "serve", "m=" + model, "--port", "0", "--slots", "4", "-c", "4096", "--queue", "8"],
                         environment={"XENON_API_KEY": None})

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def request(self, method, path, body=None, headers=None):
        connection = self.connect()
        connection.request(method, path, body if body is None or isinstance(body, (str, bytes)) else json.dumps(body),
                           {"Content-Type": "application/json", **(headers or {})})
        return connection, connection.getresponse()

    def whole(self, method, path, body=None, headers=None):
        connection, response = self.request(method, path, body, headers)
        text = response.read().decode()
        connection.close()
        return response.status, json.loads(text)

    def get(self, path, headers=None):
        return self.whole("GET", path, None, headers)

    def post(self, path, body):
        return self.whole("POST", path, body)

    def ok(self, path, body):
        status, reply = self.post(path, body)
        assert status == 200, (path, body, status, reply)
        return reply

    def stream(self, path, body):
        """Yields (event's name or None, data as JSON, or "[DONE]")."""
        connection, response = self.request("POST", path, {**body, "stream": True})
        assert response.status == 200, response.read()
        assert response.getheader("Content-Type").startswith("text/event-stream"), response.getheaders()
        name = None
        for line in response:
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
                yield name, data if data == "[DONE]" else json.loads(data)
                name = None
            else:
                assert line == "" or line.startswith(":"), line
        connection.close()

    def end(self):
        status = self.stop()
        assert status == 0, (status, self.text(60))


def user(text):
    return {"messages": [{"role": "user", "content": text}]}


WEATHER = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Oulu", "Turku"]},
                                            "days": {"type": "integer", "minimum": 1, "maximum": 9}},
           "required": ["city", "days"], "additionalProperties": False}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": WEATHER}}]


@check
def chat_whole_and_streamed(s):
    body = {**user("Hello, who are you?"), "max_tokens": 24, "temperature": 0, "logprobs": True, "top_logprobs": 3}
    whole = s.ok("/v1/chat/completions", body)
    content, tokens, finishes, usage = "", [], [], None
    events = list(s.stream("/v1/chat/completions", {**body, "stream_options": {"include_usage": True}}))
    assert events[-1][1] == "[DONE]"
    for _, event in events[:-1]:
        for choice in event["choices"]:
            content += choice["delta"].get("content") or ""
            tokens += (choice["logprobs"] or {}).get("content") or []
            finishes.append(choice["finish_reason"])
        usage = event["usage"] or usage
    message = whole["choices"][0]["message"]["content"]
    assert content == message and message, (content, message)
    assert finishes[-1] == whole["choices"][0]["finish_reason"] and finishes.count(None) == len(finishes) - 1
    # The token that ends a text counts, and has no text.
    ended = finishes[-1] == "stop"
    assert len(tokens) + ended == usage["completion_tokens"] == whole["usage"]["completion_tokens"]
    assert bytes(b for t in tokens for b in t["bytes"]).decode() == content
    for token in tokens:
        assert token["top_logprobs"][0]["token"] == token["token"] and -60 < token["logprob"] <= 0
    for mine, other in zip(tokens, whole["choices"][0]["logprobs"]["content"]):
        assert mine["token"] == other["token"] and abs(mine["logprob"] - other["logprob"]) < 1e-3


@check
def seeds_reproduce(s):
    # Alone and without the cache: what runs beside it changes logits in their last digits.
    body = {**user("Tell me a story."), "max_tokens": 24, "temperature": 1.0, "seed": 5, "cache_prompt": False}

    def ask(**more):
        return [c["message"]["content"] for c in s.ok("/v1/chat/completions", {**body, **more})["choices"]]

    assert ask() == ask() and ask() != ask(seed=500)
    assert len(set(ask(n=3))) > 1 and len(set(ask(seed=None)[0] for _ in range(4))) > 1


@check
def stop_strings_and_lengths(s):
    body = {"prompt": "One, two, three, four,", "temperature": 0, "max_tokens": 40}
    full = s.ok("/v1/completions", body)["choices"][0]["text"]
    stop = full[8:11]
    cut = s.ok("/v1/completions", {**body, "stop": [stop]})["choices"][0]
    assert cut["finish_reason"] == "stop" and cut["text"] == full[: full.index(stop)], (full, stop, cut)
    one = s.ok("/v1/completions", {**body, "max_tokens": 1})
    assert one["choices"][0]["finish_reason"] == "length" and one["usage"]["completion_tokens"] == 1
    echo = s.ok("/v1/completions", {**body, "echo": True, "max_tokens": 4})["choices"][0]["text"]
    assert echo.startswith(body["prompt"])
    status, reply = s.post("/v1/chat/completions", user("word " * 6000))
    assert status == 400 and "6009 tokens" in reply["error"]["message"], reply


@check
def several_prompts(s):
    body = {"prompt": ["The cat", "A dog", "Once"], "n": 2, "seed": 3, "max_tokens": 6}
    whole = s.ok("/v1/completions", body)
    texts = [""] * 6
    for _, event in s.stream("/v1/completions", body):
        for choice in event["choices"] if event != "[DONE]" else []:
            texts[choice["index"]] += choice["text"]
    assert texts == [c["text"] for c in whole["choices"]] and len(set(texts)) > 3


@check
def structured(s):
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "tags": {
        "type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3}}, "required": ["name", "tags"],
        "additionalProperties": False}
    for seed in range(4):
        body = {**user("Invent someone."), "temperature": 1.5, "seed": seed, "max_tokens": 200}
        given = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
        choice = s.ok("/v1/chat/completions", {**body, "response_format": given})["choices"][0]
        value = json.loads(choice["message"]["content"])
        assert choice["finish_reason"] == "stop" and set(value) == {"name", "tags"} and len(value["name"]) <= 12
        assert set(value["tags"]) <= {"a", "b"}
        reply = s.ok("/v1/responses", {"input": "Invent someone.", "temperature": 1.5, "max_output_tokens": 200,
                                       "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}})
        assert set(json.loads(reply["output"][-1]["content"][0]["text"])) == {"name", "tags"}
    text = s.ok("/v1/chat/completions", {**user("Yes or no?"), "grammar": 'root ::= "yes" | "no"'})
    assert text["choices"][0]["message"]["content"] in ("yes", "no")
    status, reply = s.post("/v1/chat/completions", {**user("x"), "grammar": "root ::= other"})
    assert status == 400 and "other" in reply["error"]["message"], reply


@check
def tools_required(s):
    body = {**user("How is the weather in Oulu?"), "tools": TOOLS, "tool_choice": "required", "max_tokens": 200,
            "temperature": 1.0}
    for seed in range(3):
        choice = s.ok("/v1/chat/completions", {**body, "seed": seed})["choices"][0]
        assert choice["finish_reason"] == "tool_calls", choice
        for call in choice["message"]["tool_calls"]:
            arguments = json.loads(call["function"]["arguments"])
            assert call["function"]["name"] == "get_weather" and arguments["city"] in ("Oulu", "Turku")
            assert 1 <= arguments["days"] <= 9 and call["id"]
    calls = {}
    for _, event in s.stream("/v1/chat/completions", {**body, "parallel_tool_calls": False, "seed": 1}):
        for choice in event["choices"] if event != "[DONE]" else []:
            for call in choice["delta"].get("tool_calls", []):
                known = calls.setdefault(call["index"], {"arguments": ""})
                known["arguments"] += call["function"]["arguments"]
                known["name"] = call["function"].get("name", known.get("name"))
    assert len(calls) == 1 and json.loads(calls[0]["arguments"])["city"] in ("Oulu", "Turku"), calls
    reply = s.ok("/v1/messages", {**user("Weather?"), "max_tokens": 200, "tool_choice": {"type": "any"},
                                  "tools": [{"name": "get_weather", "input_schema": WEATHER}]})
    assert reply["stop_reason"] == "tool_use" and reply["content"][0]["input"]["city"] in ("Oulu", "Turku"), reply


@check
def turns_reuse_the_cache(s):
    history = [{"role": "user", "content": "Remember these words: " + " ".join("apple%d" % i for i in range(60))}]
    first = s.ok("/v1/chat/completions", {"messages": history, "max_tokens": 12, "temperature": 0})
    history += [first["choices"][0]["message"], {"role": "user", "content": "And now?"}]
    for message in history:
        message.pop("refusal", None)
    second = s.ok("/v1/chat/completions", {"messages": history, "max_tokens": 4, "temperature": 0})
    usage = second["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] > 0.8 * first["usage"]["prompt_tokens"], usage
    fresh = s.ok("/v1/chat/completions", {"messages": history, "max_tokens": 4, "temperature": 0,
                                          "cache_prompt": False})
    assert fresh["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert fresh["choices"][0]["message"]["content"] == second["choices"][0]["message"]["content"]
    # Responses go on from what is kept.
    one = s.ok("/v1/responses", {"input": "Hello", "max_output_tokens": 6, "temperature": 0})
    two = s.ok("/v1/responses", {"input": "More", "previous_response_id": one["id"], "max_output_tokens": 6})
    assert two["usage"]["input_tokens"] > one["usage"]["input_tokens"] + 6
    assert s.get("/v1/responses/" + one["id"])[1]["id"] == one["id"]
    assert s.post("/v1/responses", {"input": "x", "previous_response_id": "resp_none"})[0] == 404


@check
def responses_streamed(s):
    body = {"input": "Hello", "max_output_tokens": 12, "temperature": 0}
    whole = s.ok("/v1/responses", body)
    events = list(s.stream("/v1/responses", body))
    assert [e["sequence_number"] for _, e in events] == list(range(len(events)))
    assert all(name == e["type"] for name, e in events)
    assert events[0][0] == "response.created" and events[-1][0] in ("response.completed", "response.incomplete")
    text = "".join(e["delta"] for name, e in events if name == "response.output_text.delta")
    assert text == events[-1][1]["response"]["output"][0]["content"][0]["text"] == whole["output"][0]["content"][0]["text"]


@check
def anthropic(s):
    body = {**user("Hello"), "max_tokens": 12, "temperature": 0, "system": "Be kind."}
    whole = s.ok("/v1/messages", body)
    events = list(s.stream("/v1/messages", body))
    assert [n for n, _ in events][:3] == ["message_start", "ping", "content_block_start"]
    assert events[-1][0] == "message_stop"
    text = "".join(e["delta"]["text"] for n, e in events if n == "content_block_delta")
    assert text == whole["content"][0]["text"]
    count = s.ok("/v1/messages/count_tokens", {k: body[k] for k in ("messages", "system")})["input_tokens"]
    usage = whole["usage"]
    assert count == usage["input_tokens"] + usage["cache_read_input_tokens"], (count, usage)
    status, reply = s.post("/v1/messages", user("x"))
    assert status == 400 and reply["error"]["type"] == "invalid_request_error"
    assert s.get("/v1/models", {"anthropic-version": "2023-06-01"})[1]["data"][0]["type"] == "model"


@check
def embeddings(s):
    texts = ["a cat", "a cat", "the stock exchange"]
    reply = s.ok("/v1/embeddings", {"input": texts})
    vectors = [d["embedding"] for d in reply["data"]]
    assert len(vectors) == 3 and all(abs(sum(x * x for x in v) - 1) < 1e-4 for v in vectors)
    assert max(abs(a - b) for a, b in zip(vectors[0], vectors[1])) < 1e-4
    assert max(abs(a - b) for a, b in zip(vectors[0], vectors[2])) > 1e-2
    packed = s.ok("/v1/embeddings", {"input": texts[0], "encoding_format": "base64"})["data"][0]["embedding"]
    numbers = struct.unpack("<%df" % len(vectors[0]), base64.b64decode(packed))
    assert max(abs(a - b) for a, b in zip(vectors[0], numbers)) < 1e-4
    assert len(s.ok("/v1/embeddings", {"input": ["x"] * 40, "dimensions": 8})["data"]) == 40


@check
def clients_that_go(s):
    """Random disconnects and broken bodies; afterwards all slots answer, and no stream has another's text."""
    rng = random.Random(1)

    def mischief(_):
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", s.port), timeout=60) as c:
                kind = rng.randrange(4)
                body = json.dumps({**user("Tell me all."), "max_tokens": 200, "stream": kind != 0, "n": rng.randrange(1, 3)})
                if kind == 3:
                    body = body[: rng.randrange(len(body))]
                head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
                c.sendall((head + body).encode())
                time.sleep(rng.random() / 10)
                if kind == 2:
                    c.recv(256)

    threads = [threading.Thread(target=mischief, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    results = {}

    def ask(i):
        body = {"prompt": "x", "grammar": 'root ::= "%s"' % (chr(97 + i) * 30), "max_tokens": 64}
        for _ in range(100):  # those that went may still stand in the queue
            status, reply = s.post("/v1/completions", body)
            if status != 429:
                break
            time.sleep(0.1)
        results[i] = (status, reply["choices"][0]["text"] if status == 200 else reply)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == {i: (200, chr(97 + i) * 30) for i in range(8)}, results


def main():
    xenon, model = sys.argv[1:3]
    if not os.path.exists(model):
        print("skipped: no", model)
        return 77
    server = Server(xenon, model)
    failed = 0
    try:
        for test in CHECKS:
            begin = time.monotonic()
            try:
                test(server)
                print("ok", test.__name__, "%.1f s" % (time.monotonic() - begin))
            except Exception as problem:  # all others still run
                failed += 1
                import traceback
                traceback.print_exc()
                print("FAILED", test.__name__, problem)
    finally:
        server.end()
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
