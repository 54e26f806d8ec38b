"""langchain-openai."""

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

from common import ASK, KEY, MODEL, TOOLS, URL, alike, check, is_weather, raises, run

common = {"base_url": URL + "/v1", "api_key": KEY, "max_retries": 0}
model = ChatOpenAI(model=MODEL, temperature=0, max_tokens=24, timeout=60, **common)
warm = ChatOpenAI(model=MODEL, temperature=1, seed=4, max_tokens=400, timeout=60, **common)


class Dragon(BaseModel):
    """A dragon."""

    name: str = Field(max_length=20)
    age: int = Field(ge=1, le=900)


def chats():
    whole = model.invoke([SystemMessage("Be brief."), HumanMessage(ASK)])
    check("text", whole.content and isinstance(whole, AIMessage), whole)
    check("usage", whole.usage_metadata["output_tokens"] == 24, whole.usage_metadata)
    check("finish", whole.response_metadata["finish_reason"] == "length", whole.response_metadata)
    chunks = list(model.stream([SystemMessage("Be brief."), HumanMessage(ASK)], stream_usage=True))
    check("streamed", alike("".join(c.content for c in chunks), whole.content), chunks)
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    check("streamed usage", total.usage_metadata and total.usage_metadata["output_tokens"] == 24, total)
    several = model.batch([ASK, ASK, "Hello"])
    check("batch", len(several) == 3 and alike(several[0].content, several[1].content), several)


def tools():
    bound = warm.bind_tools(TOOLS, tool_choice="get_weather")
    called = bound.invoke(ASK)
    check("call", called.tool_calls and is_weather(called.tool_calls[0]["args"]), called)
    total = None
    for chunk in bound.stream(ASK):
        total = chunk if total is None else total + chunk
    check("streamed call", total.tool_calls and is_weather(total.tool_calls[0]["args"]), total)
    result = ToolMessage("-3 C", tool_call_id=called.tool_calls[0]["id"])
    check("after a call", model.bind_tools(TOOLS).invoke([HumanMessage(ASK), called, result]) is not None)


def structured():
    for method in ("json_schema", "function_calling"):
        parsed = warm.with_structured_output(Dragon, method=method).invoke(ASK)
        check(method, isinstance(parsed, Dragon), parsed)


def embeddings():
    e = OpenAIEmbeddings(model=MODEL, check_embedding_ctx_length=False, **common)
    one, several = e.embed_query("A dragon"), e.embed_documents(["A dragon", "A cat"])
    check("embeddings", len(several) == 2 and len(one) == len(several[0]), len(several))
    check("the same", all(abs(x - y) < 1e-4 for x, y in zip(one, several[0])))


def errors():
    raises("unknown model", openai.NotFoundError, lambda: ChatOpenAI(model="nothing", **common).invoke(ASK))
    raises("wrong key", openai.AuthenticationError,
           lambda: ChatOpenAI(model=MODEL, base_url=URL + "/v1", api_key="wrong", max_retries=0).invoke(ASK))
    raises("too long", openai.BadRequestError, lambda: model.invoke("dragon " * 9000))


run(chats, tools, structured, embeddings, errors)
