"""Tool calls over the whole chain, in the notation of every published template: a tiny model with random weights is
given each template, and a vocabulary in which all notations' markers are special tokens. Whatever such a model writes
under tool_choice "required" must come out as a call that fits the tool; and content as the response format wants it."""

import json
import os
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from program import Program

SHARED = Path(os.environ["XENON_SHARED"])
MODEL = SHARED / "models" / "llama"
TEMPLATES = SHARED / "text" / "chat" / "templates"
MARKERS = """<think> </think> <thinking> </thinking> <seed:think> </seed:think> [THINK] [/THINK] <|inner_prefix|> <|inner_suffix|> <|think|>
<|channel> <channel|> <tool_call> </tool_call> <seed:tool_call> </seed:tool_call> <minimax:tool_call> </minimax:tool_call>
<|python_tag|> [TOOL_CALLS] [ARGS] <|start|> <|channel|> <|message|> <|end|> <|call|> <|return|> <|constrain|> <arg_key>
</arg_key> <arg_value> </arg_value> <｜tool▁calls▁begin｜> <｜tool▁calls▁end｜> <｜tool▁call▁begin｜> <｜tool▁call▁end｜>
<｜tool▁sep｜> <|tool_call> <tool_call|> <|"|> <|tool_call_start|> <|tool_call_end|> <|tool_calls_section_begin|>
<|tool_calls_section_end|> <|tool_call_begin|> <|tool_call_argument_begin|> <|tool_call:begin|> <|tool_call:name|>
<|tool_call:args|> <|tool_call:end|> <|tool_calls|> <|calls|> <|tools_prefix|> <|tools_suffix|> <|tool_call|>
<|message_sep|> <|role_sep|>""".split()
# Ends of reasoning: pushed, or a model of random weights would reason for ever.
ENDS = ("</think>", "</thinking>", "</seed:think>", "[/THINK]", "<|inner_suffix|>", "<channel|>", "<|end|>")
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": {
        "type": "object", "required": ["city", "days"], "properties": {
            "city": {"type": "string", "description": "Where.", "enum": ["Oulu", "Kemi"]},
            "days": {"type": "integer", "description": "How long.", "minimum": 1, "maximum": 9},
            "sure": {"type": "boolean", "description": "Whether."}}}}},
    {"type": "function", "function": {"name": "get_time", "description": "The time.", "parameters": {
        "type": "object", "required": [], "properties": {}}}},
]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}, "required": ["n"]}


def tokenizer(folder):
    """The model's tokenizer with the markers in the place of its last tokens; their ids."""
    data = json.loads((MODEL / "tokenizer.json").read_text())
    vocabulary = data["model"]["vocab"]
    first = len(vocabulary) - len(MARKERS)
    gone = {token for token, i in vocabulary.items() if i >= first}
    data["model"]["vocab"] = {token: i for token, i in vocabulary.items() if token not in gone}
    joined = [m if isinstance(m, list) else m.split(" ") for m in data["model"]["merges"]]
    data["model"]["merges"] = [m for m, (a, b) in zip(data["model"]["merges"], joined)
                               if not {a, b, a + b} & gone]
    like = data["added_tokens"][0]
    ids = {marker: first + i for i, marker in enumerate(MARKERS)}
    data["added_tokens"] = [like | {"id": i, "content": m, "special": True} for m, i in ids.items()] + data["added_tokens"]
    (folder / "tokenizer.json").write_text(json.dumps(data))
    return ids


def make_models(root):
    ids = {}
    for template in sorted(TEMPLATES.glob("*.jinja")):
        folder = root / template.stem
        folder.mkdir()
        for name in ("config.json", "model.safetensors", "tokenizer_config.json"):
            (folder / name).symlink_to(MODEL / name)
        ids = tokenizer(folder)
        (folder / "chat_template.jinja").write_text(template.read_text())
    return ids


# Of a template that can't render the request (some want variables that no API gives, or always tools).
REFUSED = "chat template:"


class Server(Program):
    def __init__(self, folder):
        super().__init__([os.environ["XENON"], "serve", "--models-dir", folder, "--models-max", "3", "--port", "0", "--log-format", "none",
                          "-np", "4", "-c", "16384", "--request-context", "8192"])

    def ask(self, body):
        request = urllib.request.Request(self.url + "/v1/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return joined(reply) if body.get("stream") else json.load(reply)
        except urllib.error.HTTPError as error:
            return {"error": error.read().decode()}


def joined(lines):
    """A stream's pieces as the whole answer would be."""
    message, finish, calls = {"content": ""}, None, []
    for line in lines:
        if not line.startswith(b"data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            delta, finish = choice["delta"], choice["finish_reason"] or finish
            message["content"] += delta.get("content") or ""
            for piece in delta.get("tool_calls", []):
                if piece["index"] == len(calls):
                    calls.append(piece)
                else:
                    calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return {"choices": [{"message": message | {"tool_calls": calls}, "finish_reason": finish}]}


def fits(call):
    name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
    if name == "get_time":
        return arguments == {}
    return (name == "get_weather" and arguments.get("city") in ("Oulu", "Kemi") and type(arguments.get("days")) is int and
            1 <= arguments["days"] <= 9 and type(arguments.get("sure", True)) is bool and
            set(arguments) <= {"city", "days", "sure"})


def check(server, model, bias, named, seed):
    """What is wrong with an answer that has to be a call; None: nothing; "": the template refused."""
    choice = {"type": "function", "function": {"name": "get_weather"}} if named else "required"
    reply = server.ask({"model": model, "messages": [{"role": "user", "content": "Weather?"}], "tools": TOOLS,
                        "tool_choice": choice, "parallel_tool_calls": False, "max_tokens": 400, "seed": seed,
                        "temperature": 1, "logit_bias": bias, "stream": seed == 2})
    if REFUSED in reply.get("error", ""):
        return ""
    try:
        one = reply["choices"][0]
        calls = one["message"]["tool_calls"]
        good = (one["finish_reason"] == "tool_calls" and len(calls) == 1 and fits(calls[0]) and
                (not named or calls[0]["function"]["name"] == "get_weather") and not one["message"]["content"])
    except (KeyError, ValueError, TypeError):
        good = False
    return None if good else f"{model}, {choice}: {json.dumps(reply, ensure_ascii=False)[:700]}"


def check_format(server, model, bias):
    reply = server.ask({"model": model, "messages": [{"role": "user", "content": "Number?"}], "max_tokens": 300,
                        "temperature": 1, "seed": 3, "logit_bias": bias,
                        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}})
    if REFUSED in reply.get("error", ""):
        return ""
    try:
        n = json.loads(reply["choices"][0]["message"]["content"])["n"]
        good = type(n) is int and 0 <= n <= 99
    except (KeyError, ValueError, TypeError):
        good = False
    return None if good else f"{model}, schema: {json.dumps(reply, ensure_ascii=False)[:700]}"


def main():
    if not MODEL.exists() or not TEMPLATES.exists():
        print("skipped: no models or templates in XENON_SHARED")
        sys.exit(77)
    wrong, checks = [], 0
    with tempfile.TemporaryDirectory() as folder:
        ids = make_models(Path(folder))
        server = Server(folder)
        bias = {str(ids[end]): 100 for end in ENDS}
        for path in sorted(Path(folder).iterdir()):
            for found in [check(server, path.name, bias, named, seed) for named in (False, True) for seed in (1, 2)] + [
                    check_format(server, path.name, bias)]:
                checks += found != ""
                if found:
                    wrong.append(found)
        if server.stop(seconds=30):
            wrong.append("the server ended with an error:\n" + server.text(10))
    print(f"{checks} answers, {len(wrong)} wrong")
    for line in wrong[:30]:
        print(line)
    sys.exit(1 if wrong or checks < 150 else 0)


main()
