"""The anthropic package."""

import asyncio

import anthropic

from common import ASK, KEY, MODEL, TOOLS, URL, alike, check, is_weather, raises, run

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
messages = [{"role": "user", "content": ASK}]
tools = [{"name": t["function"]["name"], "description": "A tool.", "input_schema": t["function"]["parameters"]} for t in TOOLS]


def settings(temperature=0, **more):
    """Of a request; the package has no temperature any more, the API does."""
    return {"model": MODEL, "messages": messages, "max_tokens": 24, "extra_body": {"temperature": temperature}} | more


def create(**more):
    return client.messages.create(**settings(**more))


def read(usage):
    """Tokens of the prompt, also those that were there from before."""
    return usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)


def chats():
    whole = create()
    text = whole.content[0].text
    check("text", text and whole.role == "assistant" and whole.stop_reason == "max_tokens", whole)
    check("usage", read(whole.usage) > 5 and whole.usage.output_tokens == 24, whole.usage)
    with client.messages.stream(**settings()) as stream:
        streamed = "".join(stream.text_stream)
        final = stream.get_final_message()
    check("streamed", alike(streamed, text) and final.content[0].text == streamed, streamed)
    check("streamed end", final.stop_reason == "max_tokens" and final.usage.output_tokens == 24, final)
    kinds = [e.type for e in create(stream=True)]
    check("events", kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"] and
          "content_block_start" in kinds and "content_block_stop" in kinds, kinds)
    first = text.split()[1]
    stopped = create(stop_sequences=[first])
    check("stop", stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == first and
          stopped.content[0].text.rstrip() == text.split(first)[0].rstrip(), stopped)
    system = create(system="Be brief.", messages=[{"role": "user", "content": [{"type": "text", "text": ASK}]}])
    check("system", read(system.usage) > read(whole.usage), system)
    begun = create(messages=messages + [{"role": "assistant", "content": "The dragon was"}])
    check("begun answer", begun.content and not begun.content[0].text.startswith("The dragon was"), begun)
    count = client.messages.count_tokens(model=MODEL, messages=messages)
    check("count", count.input_tokens == read(whole.usage), (count, whole.usage))


def calls():
    forced = create(tools=tools, tool_choice={"type": "tool", "name": "get_weather"}, max_tokens=300, temperature=1)
    use = [b for b in forced.content if b.type == "tool_use"]
    check("tool", use and forced.stop_reason == "tool_use" and use[0].name == "get_weather" and is_weather(use[0].input),
          forced)
    anyone = create(tools=tools, tool_choice={"type": "any"}, max_tokens=300, temperature=1)
    check("any", anyone.stop_reason == "tool_use", anyone)
    with client.messages.stream(**settings(max_tokens=300, temperature=1, tools=tools,
                                           tool_choice={"type": "tool", "name": "get_weather"})) as stream:
        parts = [e.partial_json for e in stream if e.type == "input_json"]
        final = stream.get_final_message()
    use = [b for b in final.content if b.type == "tool_use"]
    check("streamed tool", use and is_weather(use[0].input) and is_weather("".join(parts)), (parts, final))
    answered = create(tools=tools, messages=messages + [
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use[0].id, "content": "-3 C"}]}])
    check("after a call", answered.stop_reason in ("end_turn", "max_tokens", "tool_use"), answered)
    check("auto", create(tools=tools).content)


def errors():
    raises("unknown model", anthropic.NotFoundError, lambda: create(model="nothing"))
    other = anthropic.Anthropic(base_url=URL, api_key="wrong", max_retries=0)
    raises("wrong key", anthropic.AuthenticationError,
           lambda: other.messages.create(model=MODEL, messages=messages, max_tokens=2))
    error = raises("temperature", anthropic.BadRequestError, lambda: create(temperature="hot"))
    check("its form", error and error.body["type"] == "error" and "temperature" in error.body["error"]["message"],
          error and error.body)
    raises("no messages", anthropic.BadRequestError, lambda: create(messages=[]))
    raises("too long", anthropic.BadRequestError, lambda: create(messages=[{"role": "user", "content": "dragon " * 9000}]))


def many_at_once():
    async def go():
        async with anthropic.AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60) as c:

            async def one(i):
                async with c.messages.stream(**settings()) as stream:
                    text = ""
                    async for part in stream.text_stream:
                        text += part
                        if i % 3 == 2:  # goes before the end
                            return None
                    return text

            return await asyncio.gather(*(one(i) for i in range(8)))

    texts = [t for t in asyncio.run(go()) if t is not None]
    check("many at once", all(alike(t, texts[0]) for t in texts), texts)


run(chats, calls, errors, many_at_once)
