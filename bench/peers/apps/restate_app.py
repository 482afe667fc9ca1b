"""A conversation as a virtual object of Restate: its messages are state, and the model call is a durable step."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import hypercorn
import hypercorn.asyncio
import restate
from openai import AsyncOpenAI

Message = dict[str, str]

chat = restate.VirtualObject("Chat")
client = AsyncOpenAI()


@chat.handler()
async def message(ctx: restate.ObjectContext, content: str) -> str:
    return await answer(ctx, content, call_model)


@chat.handler()
async def message_from_stream(ctx: restate.ObjectContext, content: str) -> str:
    return await answer(ctx, content, stream_model)


async def answer(ctx: restate.ObjectContext, content: str, call: Callable[[list[Message]], Awaitable[str]]) -> str:
    messages = await ctx.get("messages", type_hint=list[Message]) or []
    messages.append({"role": "user", "content": content})
    text = await ctx.run_typed("call the model", call, messages=messages)
    messages.append({"role": "assistant", "content": text})
    ctx.set("messages", messages)
    return text


async def call_model(messages: list[Message]) -> str:
    completion = await client.chat.completions.create(model=os.environ["MODEL"], messages=messages)
    return completion.choices[0].message.content or ""


async def stream_model(messages: list[Message]) -> str:
    """Read the model's stream, as the other systems do; the journal keeps the whole answer all the same."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    stream = await client.chat.completions.create(model=os.environ["MODEL"], messages=messages, **options)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = hypercorn.Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.h2_max_concurrent_streams = 2147483647  # these three are what its documentation recommends
    config.keep_alive_max_requests = 2147483647
    config.keep_alive_timeout = 2147483647
    config.loglevel = "ERROR"
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(hypercorn.asyncio.serve(restate.app(services=[chat]), config))


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - it does not exist for Windows
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


if __name__ == "__main__":
    main()
