"""The ollama package."""

import ollama
from pydantic import BaseModel, Field

from common import ASK, KEY, MODEL, TOOLS, URL, alike, check, is_weather, raises, run

client = ollama.Client(host=URL, headers={"Authorization": "Bearer " + KEY}, timeout=60)
messages = [{"role": "user", "content": ASK}]
cold = {"temperature": 0, "num_predict": 24}


class Dragon(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=1, le=900)


def lists():
    names = [m.model for m in client.list().models]
    check("list", any(n.split(":")[0] == MODEL for n in names), names)
    shown = client.show(MODEL)
    check("show", shown.details and shown.modelinfo, shown)
    client.chat(model=MODEL, messages=messages, options=cold)
    check("ps", any(m.model.split(":")[0] == MODEL for m in client.ps().models), client.ps())


def chats():
    whole = client.chat(model=MODEL, messages=messages, options=cold)
    check("text", whole.message.content and whole.message.role == "assistant" and whole.done, whole)
    check("counts", whole.eval_count == 24 and whole.prompt_eval_count > 5 and whole.done_reason == "length", whole)
    check("times", whole.total_duration > 0 and whole.eval_duration > 0, whole)
    chunks = list(client.chat(model=MODEL, messages=messages, options=cold, stream=True))
    streamed = "".join(c.message.content or "" for c in chunks)
    check("streamed", alike(streamed, whole.message.content), streamed)
    check("streamed end", chunks[-1].done and chunks[-1].eval_count == 24 and not any(c.done for c in chunks[:-1]), chunks[-1])
    first = streamed.split()[1]
    stopped = client.chat(model=MODEL, messages=messages, options=cold | {"stop": [first]})
    check("stop", stopped.message.content == streamed.split(first)[0] and stopped.done_reason == "stop", stopped)
    generated = client.generate(model=MODEL, prompt=ASK, options=cold)
    check("generate", alike(generated.response, whole.message.content), generated)
    pieces = list(client.generate(model=MODEL, prompt=ASK, options=cold, stream=True))
    check("streamed generate", alike("".join(p.response for p in pieces), generated.response), pieces)
    raw = client.generate(model=MODEL, prompt="The dragon", raw=True, options=cold)
    check("raw", raw.response and raw.response != generated.response, raw)


def structured():
    for seed in range(2):
        whole = client.chat(model=MODEL, messages=messages, format=Dragon.model_json_schema(),
                            options={"temperature": 1, "seed": seed, "num_predict": 300})
        check("schema", Dragon.model_validate_json(whole.message.content), whole)


def tools():
    whole = client.chat(model=MODEL, messages=messages, tools=TOOLS, options=cold)
    check("tools", whole.message.content or whole.message.tool_calls, whole)
    for call in whole.message.tool_calls or []:
        check("call", call.function.name != "get_weather" or is_weather(call.function.arguments), call)
    history = messages + [{"role": "assistant", "content": "", "tool_calls": [
        {"function": {"name": "get_weather", "arguments": {"city": "Oulu", "days": 1}}}]},
        {"role": "tool", "tool_name": "get_weather", "content": "-3 C"}]
    check("after a call", client.chat(model=MODEL, messages=history, tools=TOOLS, options=cold).done)


def embeddings():
    found = client.embed(model=MODEL, input=["A dragon", "A cat"])
    check("embed", len(found.embeddings) == 2 and len(found.embeddings[0]) > 8, found)
    check("normalized", abs(sum(x * x for x in found.embeddings[0]) - 1) < 1e-3)
    old = client.embeddings(model=MODEL, prompt="A dragon")
    check("embeddings", len(old.embedding) == len(found.embeddings[0]), len(old.embedding))


def errors():
    error = raises("unknown model", ollama.ResponseError, lambda: client.chat(model="nothing", messages=messages))
    check("its status", error and error.status_code == 404 and "nothing" in error.error, error)
    other = ollama.Client(host=URL, headers={"Authorization": "Bearer wrong"})
    error = raises("wrong key", ollama.ResponseError, lambda: other.chat(model=MODEL, messages=messages))
    check("its status", error and error.status_code == 401, error)
    error = raises("option", ollama.ResponseError,
                   lambda: client.chat(model=MODEL, messages=messages, options={"temperature": "hot"}))
    check("its status", error and error.status_code == 400, error)


run(lists, chats, structured, tools, embeddings, errors)
