"""Calls the scripted model server as a program does: as a process, and with OpenAI's own client."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "turnlog.local.model", "--exit-on-stdin-eof"]
ADD = {
    "name": "add",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
CLOCK = {"name": "current_time"}
USER = {"role": "user", "content": "What is a cursor?"}


def start() -> tuple[subprocess.Popen[str], str]:
    """Start a server; return its process and its base URL."""
    process = subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on http://127.0.0.1:")
    assert line.endswith("/v1\n")
    return process, line.split()[-1]


def stop(process: subprocess.Popen[str]) -> int:
    with process:
        assert process.stdin is not None
        process.stdin.close()
        return process.wait(60)


async def begin(model: AsyncOpenAI, name: str, *messages: Any, **options: Any) -> Any:
    """Start a stream that carries usage, and return it."""
    conversation: Any = messages or [USER]
    create: Any = model.chat.completions.create
    return await create(
        model=name, messages=conversation, stream=True, stream_options={"include_usage": True}, **options
    )


async def read(model: AsyncOpenAI, name: str, *messages: Any, **options: Any) -> list[ChatCompletionChunk]:
    return [chunk async for chunk in await begin(model, name, *messages, **options)]


async def read_until_error(
    error: type[Exception], model: AsyncOpenAI, name: str, **options: Any
) -> tuple[list[ChatCompletionChunk], Exception]:
    """Return the chunks before `error`, and the error; fail without one."""
    chunks: list[ChatCompletionChunk] = []
    try:
        async for chunk in await begin(model, name, **options):
            chunks.append(chunk)  # noqa: PERF401 - a comprehension would lose them
    except error as raised:
        return chunks, raised
    pytest.fail(f"{name} ended without {error.__name__}")


async def read_text(model: AsyncOpenAI, name: str, *messages: Any, **options: Any) -> str:
    return "".join(pieces(await read(model, name, *messages, **options)))


def pieces(chunks: list[ChatCompletionChunk]) -> list[str]:
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]


def finish_reason(chunks: list[ChatCompletionChunk]) -> str | None:
    return next((chunk.choices[0].finish_reason for chunk in reversed(chunks) if chunk.choices), None)


def calls_in(chunks: list[ChatCompletionChunk]) -> list[dict[str, Any]]:
    """Return the streamed tool calls, joined by index as a client does."""
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for delta in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            assert delta.function is not None
            call = calls.setdefault(delta.index, {"id": delta.id, "name": delta.function.name, "fragments": []})
            if delta.function.arguments:
                call["fragments"].append(delta.function.arguments)
    return [{**call, "arguments": json.loads("".join(call["fragments"]))} for call in calls.values()]


def named(calls: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(call["name"], call["arguments"]) for call in calls]


def offer(*functions: dict[str, Any]) -> list[Any]:
    return [{"type": "function", "function": function} for function in functions]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(calls: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the message of the model in which it made `calls`."""
    bodies = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
        for call in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": bodies}


def result(call: dict[str, Any], text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call["id"], "content": text}


async def stats(http: httpx2.AsyncClient) -> dict[str, Any]:
    return (await http.get("/stats")).json()


async def wait_for_stats(http: httpx2.AsyncClient, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the stats, as soon as they fulfil the condition."""
    with anyio.fail_after(60):
        while not condition(now := await stats(http)):  # noqa: ASYNC110 - another process has no event to wait for
            await anyio.sleep(0.002)
    return now
