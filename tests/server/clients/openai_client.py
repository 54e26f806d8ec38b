"""The openai package."""

import asyncio

import openai
from pydantic import BaseModel, Field

from common import ASK, KEY, MODEL, TOOLS, URL, alike, check, is_weather, raises, run

client = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0, timeout=60)
messages = [{"role": "user", "content": ASK}]


class Dragon(BaseModel):
    name: str = Field(max_length=20)
    age: int = Field(ge=1, le=900)
    likes_tea: bool


def chat(**more):
    more = {"model": MODEL, "messages": messages, "max_tokens": 24, "temperature": 0} | more
    return client.chat.completions.create(**more)


def models():
    check("models", MODEL in [m.id for m in client.models.list()])
    check("model", client.models.retrieve(MODEL).id == MODEL)


def chats():
    whole = chat()
    text, usage = whole.choices[0].message.content, whole.usage
    check("text", text and whole.choices[0].message.role == "assistant", whole)
    check("finish", whole.choices[0].finish_reason == "length" and usage.completion_tokens == 24, whole)
    check("usage", usage.prompt_tokens > 5 and usage.total_tokens == usage.prompt_tokens + 24, usage)
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    check("role", chunks[0].choices[0].delta.role == "assistant", chunks[0])
    streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check("streamed", alike(streamed, text), (streamed, text))
    check("streamed finish", [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length", chunks[-2])
    check("streamed usage", chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 24, chunks[-1])
    check("no usage unasked", all(c.choices for c in chat(stream=True)))
    first = text.split()[1]
    stopped = chat(stop=[first, "zzz"])
    check("stop", stopped.choices[0].message.content == text.split(first)[0] and
          stopped.choices[0].finish_reason == "stop", stopped)
    seeded = [chat(seed=7, temperature=1.5, max_tokens=3).choices[0].message.content for _ in range(3)]
    check("seed", len(set(seeded)) < 3, seeded)  # the first has the prompt computed, the others find it there
    several = chat(n=3, temperature=1.5, seed=3)
    check("n", sorted(c.index for c in several.choices) == [0, 1, 2] and
          len({c.message.content for c in several.choices}) > 1, several)
    scored = chat(logprobs=True, top_logprobs=3, max_tokens=4)
    tokens = scored.choices[0].logprobs.content
    check("logprobs", len(tokens) == 4 and all(len(t.top_logprobs) == 3 and t.logprob <= 0 for t in tokens), scored)
    check("logprobs' text", "".join(t.token for t in tokens) == scored.choices[0].message.content, scored)
    check("greedy is the first", all(t.token == t.top_logprobs[0].token for t in tokens), tokens)
    parts = chat(messages=[{"role": "system", "content": "Be brief."},
                           {"role": "user", "content": [{"type": "text", "text": ASK}]}])
    check("parts", parts.choices[0].message.content, parts)
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=messages, max_tokens=1)
    check("request id", raw.headers.get("x-request-id"), dict(raw.headers))


def tools():
    required = chat(tools=TOOLS, tool_choice="required", max_tokens=200, temperature=1, seed=1)
    message = required.choices[0].message
    check("required", message.tool_calls and required.choices[0].finish_reason == "tool_calls", required)
    call = message.tool_calls[0]
    check("call", call.id and call.type == "function" and call.function.name in ("get_weather", "get_time"), call)
    named = {"type": "function", "function": {"name": "get_weather"}}
    for seed in range(3):
        forced = chat(tools=TOOLS, tool_choice=named, max_tokens=300, temperature=1, seed=seed)
        calls = forced.choices[0].message.tool_calls
        check("named", calls and calls[0].function.name == "get_weather" and is_weather(calls[0].function.arguments),
              forced)
    # The same, streamed: name and id come once, arguments in pieces.
    pieces = [c.choices[0] for c in chat(tools=TOOLS, tool_choice=named, max_tokens=300, temperature=1, seed=2, stream=True)
              if c.choices]
    deltas = [d for p in pieces for d in p.delta.tool_calls or []]
    arguments = "".join(d.function.arguments or "" for d in deltas)
    check("streamed call", deltas[0].id and deltas[0].function.name == "get_weather" and deltas[0].index == 0, deltas)
    check("streamed once", sum(bool(d.id) for d in deltas) == 1 and len(deltas) > 3, deltas)
    check("streamed arguments", is_weather(arguments), arguments)
    check("streamed finish", pieces[-1].finish_reason == "tool_calls", pieces[-1])
    answered = chat(messages=messages + [message.model_dump(exclude_none=True)] +
                    [{"role": "tool", "tool_call_id": c.id, "content": "-3 C"} for c in message.tool_calls], tools=TOOLS)
    check("after a call", answered.choices[0].finish_reason in ("stop", "length", "tool_calls"), answered)
    check("none", not chat(tools=TOOLS, tool_choice="none").choices[0].message.tool_calls)
    one = chat(tools=TOOLS, tool_choice="required", parallel_tool_calls=False, max_tokens=300, temperature=1, seed=5)
    check("one call", len(one.choices[0].message.tool_calls) == 1, one)
    auto = chat(tools=TOOLS)
    check("auto", auto.choices[0].message.content or auto.choices[0].message.tool_calls, auto)


def structured():
    for seed in range(2):
        parsed = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Dragon, max_tokens=400,
                                               temperature=0.7, seed=seed)
        check("parse", isinstance(parsed.choices[0].message.parsed, Dragon), parsed)
    with client.chat.completions.stream(model=MODEL, messages=messages, response_format=Dragon, max_tokens=400,
                                        temperature=0.7, seed=1) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    check("streamed parse", isinstance(final.choices[0].message.parsed, Dragon) and "content.delta" in kinds, kinds)
    import json

    anything = chat(response_format={"type": "json_object"}, max_tokens=300, temperature=0.5, seed=2)
    if anything.choices[0].finish_reason == "stop":
        check("json object", isinstance(json.loads(anything.choices[0].message.content), dict), anything)
    else:
        check("json object", anything.choices[0].message.content.startswith("{"), anything)


def completions():
    whole = client.completions.create(model=MODEL, prompt="The dragon", max_tokens=12, temperature=0, logprobs=2)
    check("completion", whole.choices[0].text and whole.usage.completion_tokens == 12, whole)
    check("completion's logprobs", len(whole.choices[0].logprobs.tokens) == 12, whole)
    streamed = client.completions.create(model=MODEL, prompt="The dragon", max_tokens=12, temperature=0, stream=True)
    text = "".join(c.choices[0].text for c in streamed if c.choices)
    check("streamed completion", alike(text, whole.choices[0].text), text)
    echoed = client.completions.create(model=MODEL, prompt=["The dragon", "A cat"], max_tokens=3, echo=True)
    check("several prompts", len(echoed.choices) == 2 and echoed.choices[0].text.startswith("The dragon") and
          echoed.choices[1].text.startswith("A cat"), echoed)


def responses():
    first = client.responses.create(model=MODEL, input=ASK, max_output_tokens=24, temperature=0)
    check("response", first.output_text and first.usage.output_tokens == 24 and first.status == "incomplete", first)
    events = list(client.responses.create(model=MODEL, input=ASK, max_output_tokens=24, temperature=0, stream=True))
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    check("streamed response", alike(text, first.output_text), text)
    check("events", events[0].type == "response.created" and events[-1].type in ("response.completed", "response.incomplete"),
          [e.type for e in events])
    check("numbered", [e.sequence_number for e in events] == list(range(len(events))))
    tool = {"type": "function"} | TOOLS[0]["function"]
    called = client.responses.create(model=MODEL, input=ASK, tools=[tool], tool_choice="required", max_output_tokens=300)
    calls = [o for o in called.output if o.type == "function_call"]
    check("response's call", calls and calls[0].name == "get_weather" and is_weather(calls[0].arguments), called)
    parsed = client.responses.parse(model=MODEL, input=ASK, text_format=Dragon, max_output_tokens=400)
    check("response parsed", isinstance(parsed.output_parsed, Dragon), parsed)
    again = client.responses.create(model=MODEL, previous_response_id=first.id, input="And then?", max_output_tokens=8)
    check("next response", again.usage.input_tokens > first.usage.input_tokens, again)


def embeddings():
    texts = ["A dragon", "The red dragon flies over the mountain."]
    packed = client.embeddings.create(model=MODEL, input=texts)  # the package asks for base64
    plain = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    check("embeddings", len(packed.data) == 2 and len(packed.data[0].embedding) > 8, packed)
    near = all(abs(x - y) < 1e-4 for a, b in zip(packed.data, plain.data) for x, y in zip(a.embedding, b.embedding))
    check("encodings", near)
    check("normalized", abs(sum(x * x for x in plain.data[0].embedding) - 1) < 1e-3)
    check("embeddings' usage", packed.usage.prompt_tokens > 4, packed.usage)


def errors():
    error = raises("unknown model", openai.NotFoundError, lambda: chat(model="nothing"))
    check("its words", error and "nothing" in error.message, error)
    other = openai.OpenAI(base_url=URL + "/v1", api_key="wrong", max_retries=0)
    raises("wrong key", openai.AuthenticationError, lambda: other.models.list())
    error = raises("temperature", openai.BadRequestError, lambda: chat(temperature="hot"))
    check("its parameter", error and error.param == "temperature", error and error.body)
    raises("no messages", openai.BadRequestError, lambda: chat(messages=[]))
    raises("no role", openai.BadRequestError, lambda: chat(messages=[{"content": "x"}]))
    error = raises("too long", openai.BadRequestError, lambda: chat(messages=[{"role": "user", "content": "dragon " * 9000}]))
    check("its code", error and error.code == "context_length_exceeded", error and error.body)
    raises("schema", openai.BadRequestError, lambda: chat(
        response_format={"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"not": {}}}}))
    raises("unknown tool", openai.BadRequestError,
           lambda: chat(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "none"}}))
    raises("streamed error", openai.BadRequestError, lambda: list(chat(temperature="hot", stream=True)))


def many_at_once():
    """Each stream is held to a text of its own, so that mixed ones would show."""

    async def go():
        async with openai.AsyncOpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0, timeout=60) as c:

            async def one(i):
                form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": f"stream {i} " * 4}}}
                stream = await c.chat.completions.create(model=MODEL, messages=messages, response_format=form, stream=True)
                text = ""
                async for chunk in stream:
                    text += chunk.choices[0].delta.content or ""
                    if i % 3 == 2 and text:  # goes before the end
                        await stream.close()
                        return True
                return text == f'"{f"stream {i} " * 4}"' or text

            return await asyncio.gather(*(one(i) for i in range(12)))

    texts = asyncio.run(go())
    check("many at once", all(t is True for t in texts), texts)


run(models, chats, tools, structured, completions, responses, embeddings, errors, many_at_once)
