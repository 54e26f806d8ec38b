#!/usr/bin/env python3
"""llama-server's and Ollama's APIs over HTTP, of a real server with the default model; and /infill of a model that has
marks to fill in with, which is made from one of ../shared. Usage: native_test.py XENON"""
import http.client
import json
import os
import re
import shutil
import sys
import tempfile

from program import Program

ROOT = os.environ.get("XENON_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
MODEL = os.path.join(ROOT, "models", "xenon-default-q8_0.gguf")
failures = []
checks = 0


def check(good, what):
    global checks
    checks += 1
    if not good:
        failures.append(what)
        print("FAILED:", str(what)[:1500], flush=True)


class Server(Program):
    def __init__(self, *options):
        super().__init__([sys.argv[1], "serve", "--port", "0", "-np", "3", "-c", "2048", *options])

    def ask(self, path, body=None, method=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            c.request(method or ("GET" if body is None else "POST"), path, None if body is None else json.dumps(body))
            reply = c.getresponse()
            text = reply.read().decode()
            return reply.status, text, reply
        finally:
            c.close()

    def get(self, path, body=None):
        status, text, _ = self.ask(path, body)
        check(status == 200, f"{path} {body}: {status} {text[:500]}")
        return json.loads(text) if status == 200 else {}

    def refused(self, path, body, status, *words):
        got, text, _ = self.ask(path, body)
        check(got == status and all(word in text for word in words), f"{path} {body}: {got} {text[:500]}, expected {status} {words}")
        return json.loads(text)

    def events(self, path, body):
        status, text, reply = self.ask(path, {**body, "stream": True})
        check(status == 200 and reply.headers["Content-Type"].startswith("text/event-stream"), f"{path}: {status} {text[:300]}")
        return [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]

    def lines_of(self, path, body):
        status, text, reply = self.ask(path, body)
        check(status == 200 and reply.headers["Content-Type"] == "application/x-ndjson", f"{path}: {status} {text[:300]}")
        return [json.loads(line) for line in text.split("\n") if line]

    def end(self):
        check(self.stop() == 0, "the end of the server:\n" + self.text(20))


GREEDY = {"temperature": 0, "n_predict": 12}


def tokens(s):
    text = "Héllo wörld, <|im_start|>x"
    ids = s.get("/tokenize", {"content": text})["tokens"]
    check(s.get("/detokenize", {"tokens": ids})["content"] == text, "tokens and back")
    plain = s.get("/tokenize", {"content": "<|im_start|>", "parse_special": False})["tokens"]
    special = s.get("/tokenize", {"content": "<|im_start|>"})["tokens"]
    check(len(special) == 1 and len(plain) > 1, f"special tokens as text: {plain} {special}")
    pieces = s.get("/tokenize", {"content": "aé\U0001f600", "with_pieces": True})["tokens"]
    raw = b"".join(p["piece"].encode() if isinstance(p["piece"], str) else bytes(p["piece"]) for p in pieces)
    check(raw.decode() == "aé\U0001f600", f"pieces: {pieces}")
    check(s.get("/apply-template", {"messages": [{"role": "user", "content": "Hi"}]})["prompt"] ==
          "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "a template")
    s.refused("/tokenize", {}, 400, "content")
    s.refused("/tokenize", {"content": "x", "add_special": "yes"}, 400, "add_special")
    s.refused("/detokenize", {"tokens": [1, -1]}, 400, "tokens", "element 1")
    s.refused("/detokenize", {"tokens": [1, 10**9]}, 400, "tokens")


def completions(s):
    whole = s.get("/completion", {"prompt": "Once upon a time", **GREEDY})
    check(whole["stop"] is True and whole["stop_type"] == "limit" and whole["tokens_predicted"] == 12, whole)
    check(whole["prompt"] == "Once upon a time" and whole["generation_settings"]["temperature"] == 0, whole)
    check(set(whole["timings"]) >= {"prompt_n", "prompt_ms", "predicted_n", "predicted_per_second"}, whole["timings"])
    ids = s.get("/tokenize", {"content": "Once upon a time"})["tokens"]
    for prompt in (ids, [*ids[:2], s.get("/detokenize", {"tokens": ids[2:]})["content"]], {"prompt_string": "Once upon a time"}):
        check(s.get("/completion", {"prompt": prompt, **GREEDY})["content"] == whole["content"], f"a prompt as {prompt}")
    events = s.events("/completion", {"prompt": "Once upon a time", **GREEDY, "return_progress": True})
    check("".join(e["content"] for e in events) == whole["content"], "a stream has the same text")
    check(events[-1]["stop"] is True and not any(e["stop"] for e in events[:-1]), "only the last event stops")
    check(any(e.get("prompt_progress", {}).get("processed") for e in events), "progress")
    check(sum(len(e["tokens"]) for e in events) == 12, "tokens of a stream")
    several = s.get("/completion", {"prompt": ["Once upon a time", "The dog"], **GREEDY})
    check(len(several) == 2 and [r["index"] for r in several] == [0, 1], several)
    probable = s.get("/completion", {"prompt": "Once upon a time", **GREEDY, "n_probs": 3, "return_tokens": True})
    entries = probable["completion_probabilities"]
    check(len(entries) == 12 == len(probable["tokens"]) and all(len(e["top_logprobs"]) == 3 for e in entries), entries[:1])
    check([e["id"] for e in entries] == probable["tokens"] and all(e["top_logprobs"][0]["id"] == e["id"] for e in entries),
          "greedy tokens are the most likely")
    word = whole["content"].split()[3]
    stopped = s.get("/completion", {"prompt": "Once upon a time", **GREEDY, "stop": [word]})
    check(stopped["stop_type"] == "word" and stopped["stopping_word"] == word and
          stopped["content"] == whole["content"].split(word)[0], stopped)
    held = s.get("/completion", {"prompt": "Say:", "grammar": 'root ::= "yes" | "no"'})
    check(held["content"] in ("yes", "no") and held["stop_type"] == "eos", held)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    held = s.get("/completion", {"prompt": "Say:", "json_schema": schema, "n_predict": 60})
    check(held["stop_type"] == "limit" or isinstance(json.loads(held["content"])["n"], int), held)
    some = s.get("/completion", {"prompt": "A", **GREEDY, "response_fields": ["content", "timings/predicted_n", "none"]})
    check(set(some) == {"content", "predicted_n"}, some)
    none = s.get("/completion", {"prompt": "A", "n_predict": 0})
    check(none["content"] == "" and none["tokens_predicted"] == 0 and none["tokens_evaluated"] > 0, none)
    s.refused("/completion", {}, 400, "prompt")
    s.refused("/completion", {"prompt": []}, 400, "prompt")
    s.refused("/completion", {"prompt": [[1, None]]}, 400, "prompt")
    s.refused("/completion", {"prompt": "a", "temperature": "hot"}, 400, "temperature")
    s.refused("/completion", {"prompt": "a", "grammar": "root ::= ("}, 400)
    s.refused("/completion", {"prompt": "word " * 5000}, 400, "prompt")
    s.refused("/completion", {"prompt": [{"prompt_string": "x", "multimodal_data": ["aa"]}]}, 400, "multimodal")
    check(s.refused("/infill", {"input_prefix": "a", "input_suffix": "b"}, 501, "fim_prefix")["error"]["code"] == 501, "infill")


def state(s):
    check(s.get("/health") == {"status": "ok"} and s.get("/v1/health") == {"status": "ok"}, "health")
    props = s.get("/props")
    check(props["total_slots"] == 3 and props["model_alias"] == "xenon-default-q8_0" and "im_start" in props["chat_template"], props)
    check(props["default_generation_settings"]["params"]["temperature"] == 0.7, "defaults")
    slots = s.get("/slots")
    check([slot["id"] for slot in slots] == [0, 1, 2] and not any(slot["is_processing"] for slot in slots), "slots")
    s.refused("/nothing", None, 404)
    status, _, reply = s.ask("/props", {}, "PUT")
    check(status == 405 and reply.headers["Allow"] == "GET, HEAD, OPTIONS", f"{status} {reply.headers['Allow']}")
    ranked = s.get("/v1/rerank", {"query": "a dog", "documents": ["the moon", "a dog", {"text": "a cat"}], "top_n": 2,
                                  "return_documents": True})
    scores = [r["relevance_score"] for r in ranked["results"]]
    check(ranked["results"][0]["index"] == 1 and abs(scores[0] - 1) < 1e-3 and scores[0] >= scores[1] and len(scores) == 2 and
          ranked["results"][0]["document"] == {"text": "a dog"}, ranked)
    s.refused("/rerank", {"query": "a", "documents": []}, 400, "documents")
    s.refused("/rerank", {"query": "", "documents": ["a"]}, 400, "query")
    vector = s.get("/embedding", {"content": "hello"})[0]["embedding"][0]
    check(abs(sum(x * x for x in vector) - 1) < 1e-4, "a vector of length 1")
    status, text, _ = s.ask("/metrics")
    names = set(re.findall(r"^([a-z]+:[a-z_0-9]+)", text, re.M))
    for name in ("llamacpp:prompt_tokens_total", "llamacpp:predicted_tokens_seconds", "vllm:time_to_first_token_seconds_bucket",
                 "vllm:request_queue_time_seconds_count", "vllm:num_requests_running", "xenon:cache_pages_used"):
        check(name in names, f"/metrics lacks {name}")
    for line in text.split("\n"):
        check(not line or line.startswith("#") or re.match(r'^[a-z]+:[a-z_0-9]+(\{([a-z_]+="[^"]*",?)+\})? [-+0-9.einfEINFa]+$', line), line)


def ollama(s):
    hi = {"model": "xenon-default-q8_0", "messages": [{"role": "user", "content": "Hi"}], "options": {"temperature": 0, "num_predict": 8}}
    whole = s.get("/api/chat", {**hi, "stream": False})
    check(whole["done"] is True and whole["message"]["role"] == "assistant" and whole["eval_count"] <= 8 and
          whole["prompt_eval_count"] > 0 and whole["total_duration"] > 0 and whole["done_reason"] in ("stop", "length"), whole)
    lines = s.lines_of("/api/chat", hi)
    check("".join(line["message"]["content"] for line in lines) == whole["message"]["content"], "a stream has the same text")
    check(lines[-1]["done"] is True and not any(line["done"] for line in lines[:-1]), "only the last line is done")
    check(all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["created_at"]) for line in lines), lines[0])
    held = s.get("/api/chat", {**hi, "stream": False, "format": {"type": "object", "properties": {"a": {"enum": ["x", "y"]}},
                                                                 "required": ["a"], "additionalProperties": False},
                               "options": {"num_predict": 60}})
    check(json.loads(held["message"]["content"])["a"] in ("x", "y"), held)
    generated = s.get("/api/generate", {"model": "m", "prompt": "Hi", "stream": False, "options": {"temperature": 0, "num_predict": 8}})
    check(generated["response"] == whole["message"]["content"], "a prompt is a conversation of one message")
    raw = s.get("/api/generate", {"model": "m", "prompt": "Once upon a time", "raw": True, "stream": False,
                                  "options": {"temperature": 0, "num_predict": 12}})
    check(raw["response"] == s.get("/completion", {"prompt": "Once upon a time", **GREEDY})["content"], "a raw prompt")
    stopped = s.get("/api/generate", {"model": "m", "prompt": "Once upon a time", "raw": True, "stream": False,
                                      "options": {"temperature": 0, "num_predict": 12, "stop": [","]}})
    check(stopped["response"] == raw["response"].split(",")[0] and stopped["done_reason"] == "stop", stopped)
    check(s.get("/api/generate", {"model": "m"})["done_reason"] == "load", "a model is only loaded")
    tools = [{"type": "function", "function": {"name": "look", "description": "d", "parameters": {
        "type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}}}]
    with_tools = {**hi, "tools": tools, "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": {"what": "sky"}}}]},
        {"role": "tool", "content": "blue", "tool_name": "look"}]}
    check(s.get("/api/chat", {**with_tools, "stream": False})["done"] is True, "results of tools")
    check(s.get("/api/tags")["models"][0]["details"]["family"] == "qwen3", "/api/tags")
    check(s.get("/api/ps")["models"][0]["context_length"] == 2048, s.get("/api/ps"))
    shown = s.get("/api/show", {"model": "m"})
    check(shown["model_info"]["general.architecture"] == "qwen3" and "completion" in shown["capabilities"] and
          shown["details"]["quantization_level"] == "Q8_0", shown)
    check(re.fullmatch(r"\d+\.\d+\.\d+", s.get("/api/version")["version"]), "/api/version")
    vectors = s.get("/api/embed", {"model": "m", "input": ["a", "b", "a"]})["embeddings"]
    check(len(vectors) == 3 and abs(sum(x * x for x in vectors[0]) - 1) < 1e-4, "three vectors")
    check(max(abs(x - y) for x, y in zip(vectors[0], vectors[2])) < 0.05, "texts that are the same have the same vector")
    check(len(s.get("/api/embeddings", {"model": "m", "prompt": "a"})["embedding"]) == len(vectors[0]), "/api/embeddings")
    check(s.ask("/", method="HEAD")[0] == 200, "HEAD /")
    for body, word in (({**hi, "messages": [{"role": "user", "content": "x", "images": ["aaaa"]}]}, "images"),
                       ({**hi, "messages": [{"role": "nobody", "content": "x"}]}, "nobody"), ({**hi, "messages": [3]}, "messages[0]"),
                       ({**hi, "format": 3}, "format"), ({**hi, "keep_alive": "soon"}, "keep_alive"), ({**hi, "think": 3}, "think"),
                       ({**hi, "options": {"temperature": "hot"}}, "temperature"), ({**hi, "options": []}, "options")):
        check(isinstance(s.refused("/api/chat", body, 400, word)["error"], str), "the form of an error")
    s.refused("/api/generate", {"model": "m", "prompt": "a", "template": "x"}, 400, "template")
    s.refused("/api/generate", {"model": "m", "prompt": "a", "context": [1]}, 400, "context")
    s.refused("/api/create", {"model": "m"}, 501)
    s.refused("/api/nothing", {}, 404)
    check(s.get("/api/chat", {"model": "m", "messages": [], "keep_alive": 0})["done_reason"] == "unload", "unloading")
    for _ in range(100):
        if not s.get("/api/ps")["models"]:
            break
    check(s.get("/api/chat", {**hi, "stream": False})["message"]["content"] == whole["message"]["content"], "loaded again")


def fim_model(folder):
    """qwen3 of ../shared with its last five tokens renamed to marks that fill in."""
    shared = os.path.join(os.environ.get("XENON_SHARED", os.path.join(ROOT, "..", "shared")), "models", "qwen3")
    if not os.path.isdir(shared):
        return None
    for name in os.listdir(shared):
        if name.endswith((".json", ".safetensors", ".jinja")) and not name.startswith("golden"):
            shutil.copy(os.path.join(shared, name), folder)
    path = os.path.join(folder, "tokenizer.json")
    with open(path, encoding="utf-8") as file:
        tokenizer = json.load(file)
    vocabulary = tokenizer["model"]["vocab"]
    added = {token["content"] for token in tokenizer["added_tokens"]}
    last = sorted((i, t) for t, i in vocabulary.items() if t not in added)[-5:]
    marks = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"]
    for (number, old), new in zip(last, marks):
        del vocabulary[old]
        vocabulary[new] = number
        tokenizer["added_tokens"].append({"id": number, "content": new, "single_word": False, "lstrip": False, "rstrip": False,
                                          "normalized": False, "special": True})
        tokenizer["model"]["merges"] = [m for m in tokenizer["model"]["merges"]
                                        if (m if isinstance(m, str) else " ".join(m)).replace(" ", "") != old]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)
    return folder


def infill(folder):
    s = Server("fim=" + folder, "--device", "cpu")
    body = {"input_prefix": "def f(a):\n", "input_suffix": "    return b\n", "n_predict": 0}
    check(s.get("/infill", body)["prompt"] == "<|fim_prefix|>def f(a):\n<|fim_suffix|>    return b\n<|fim_middle|>", "infill")
    got = s.get("/infill", {**body, "prompt": "    b", "input_extra": [{"filename": "a.py", "text": "x = 1"}]})["prompt"]
    check(got == "<|repo_name|>myproject\n<|file_sep|>a.py\nx = 1\n<|file_sep|>filename\n"
          "<|fim_prefix|>def f(a):\n<|fim_suffix|>    return b\n<|fim_middle|>    b", f"infill with other files: {got!r}")
    got = s.get("/infill", {**body, "input_prefix": "<|fim_suffix|>"})
    check(got["tokens_evaluated"] > 10, "marks that somebody wrote are text")
    got = s.get("/infill", {**body, "input_prefix": "first " * 3000 + "last", "input_suffix": "near " + "far " * 3000, "n_predict": 4, "ignore_eos": True})
    check("last<|fim_suffix|>near" in got["prompt"] and got["tokens_evaluated"] <= 2048 - 4 and got["tokens_predicted"] == 4,
          f"what is far goes: {got['tokens_evaluated']} {got['tokens_predicted']} {got['prompt'][:100]} ... {got['prompt'][-100:]}")
    events = s.events("/infill", {**body, "n_predict": 5, "samplers": ["top_k", "top_p", "infill"], "t_max_predict_ms": 60000,
                                  "ignore_eos": True})
    check(events[-1]["tokens_predicted"] == 5, events[-1])
    got = s.get("/api/generate", {"model": "fim", "prompt": "a", "suffix": "b", "stream": False, "options": {"num_predict": 3}})
    check(got["done"] is True and got["eval_count"] <= 3, got)
    s.refused("/infill", {}, 400, "input_prefix")
    s.refused("/infill", {**body, "input_extra": [{"filename": "a"}]}, 400, "input_extra")
    s.end()


def main():
    if not os.path.exists(MODEL):
        print("skipped: no default model")
        sys.exit(77)
    s = Server(MODEL)
    for part in (tokens, completions, state, ollama):
        part(s)
    s.end()
    with tempfile.TemporaryDirectory() as folder:
        if fim_model(folder):
            infill(folder)
        else:
            print("no ../shared, so /infill is not tried")
    print(f"{checks} checks, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
