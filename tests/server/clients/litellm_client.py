"""litellm, through OpenAI's API, Anthropic's, and Ollama's."""

import asyncio
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch a list of prices

import litellm

from common import ASK, KEY, MODEL, TOOLS, URL, alike, check, is_weather, raises, run

litellm.telemetry = False
litellm.suppress_debug_info = True
messages = [{"role": "user", "content": ASK}]
named = {"type": "function", "function": {"name": "get_weather"}}
# The provider's name, and its base.
openai = {"model": "openai/" + MODEL, "api_base": URL + "/v1", "api_key": KEY}
anthropic = {"model": "anthropic/" + MODEL, "api_base": URL, "api_key": KEY}
ollama = {"model": "ollama_chat/" + MODEL, "api_base": URL, "api_key": KEY}


def ask(provider, **more):
    settings = {"messages": messages, "max_tokens": 24, "temperature": 0, "num_retries": 0, "timeout": 60}
    return litellm.completion(**(settings | provider | more))


def chats():
    texts = []
    for provider in (openai, anthropic, ollama):
        name = provider["model"]
        whole = ask(provider)
        text = whole.choices[0].message.content
        texts.append(text)
        check(f"{name}: text", text and whole.usage.completion_tokens == 24, whole)
        streamed = "".join(c.choices[0].delta.content or "" for c in ask(provider, stream=True))
        check(f"{name}: streamed", alike(streamed, text), (streamed, text))
    check("one model", all(alike(t, texts[0]) for t in texts), texts)


def tools():
    for provider in (openai, anthropic):
        called = ask(provider, tools=TOOLS, tool_choice=named, max_tokens=300, temperature=1)
        calls = called.choices[0].message.tool_calls
        check(f"{provider['model']}: call", calls and is_weather(calls[0].function.arguments), called)
        chunks = list(ask(provider, tools=TOOLS, tool_choice=named, max_tokens=300, temperature=1, stream=True))
        built = litellm.stream_chunk_builder(chunks)
        calls = built.choices[0].message.tool_calls
        check(f"{provider['model']}: streamed call", calls and is_weather(calls[0].function.arguments), built)


def structured():
    schema = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 1, "maximum": 900}}, "required": ["age"],
              "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "dragon", "strict": True, "schema": schema}}
    whole = ask(openai, response_format=form, max_tokens=60)
    check("schema", '"age"' in whole.choices[0].message.content, whole)


def rest():
    text = litellm.text_completion(model="text-completion-openai/" + MODEL, prompt="The dragon", max_tokens=8,
                                   api_base=URL + "/v1", api_key=KEY)
    check("text completion", text.choices[0].text, text)
    found = litellm.embedding(model="openai/" + MODEL, input=["A dragon"], api_base=URL + "/v1", api_key=KEY)
    check("embedding", len(found.data[0]["embedding"]) > 8, found)

    async def several():
        return await asyncio.gather(*(litellm.acompletion(**openai, messages=messages, max_tokens=8, temperature=0)
                                      for _ in range(4)))

    texts = {r.choices[0].message.content for r in asyncio.run(several())}
    check("at once", all(texts), texts)


def errors():
    raises("unknown model", litellm.NotFoundError, lambda: ask(openai | {"model": "openai/nothing"}))
    raises("wrong key", litellm.AuthenticationError, lambda: ask(openai | {"api_key": "wrong"}))
    raises("too long", litellm.ContextWindowExceededError,
           lambda: ask(openai, messages=[{"role": "user", "content": "dragon " * 9000}]))
    raises("temperature", litellm.BadRequestError, lambda: ask(openai, temperature="hot"))


run(chats, tools, structured, rest, errors)
