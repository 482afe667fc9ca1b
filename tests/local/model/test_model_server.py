"""The scripted model server: its requests, its counts and its end."""

import os
import signal
import subprocess
import sys

import anyio
import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from tests.local.model.model_client import COMMAND, ROOT, USER, begin, read, start, stats, stop, wait_for_stats

pytestmark = pytest.mark.anyio


async def test_closing_a_stream_reaches_the_server(model: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    for name in ("hang-3", "fake-1000-20"):
        stream = await begin(model, name)
        await anext(aiter(stream))
        assert (await stats(http))["models"][name]["active"] == 1

        await stream.close()

        now = await wait_for_stats(http, lambda now, name=name: now["models"][name]["aborted"] == 1)
        assert now["models"][name]["active"] == now["models"][name]["finished"] == 0
        assert now["models"][name]["tokens_sent"] < 1000
        assert now["last_abort_at"] > 0


@pytest.mark.parametrize("name", ["mute-60", "hang-0", "fake-10-60000"])
async def test_a_cancelled_request_reaches_a_server_that_is_silent(
    model: AsyncOpenAI, http: httpx2.AsyncClient, name: str
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, model, name)
        await wait_for_stats(http, lambda now: now["active"] == 1)
        tasks.cancel_scope.cancel()

    now = await wait_for_stats(http, lambda now: now["active"] == 0)
    assert (now["aborted"], now["finished"]) == (1, 0)


async def test_stats_count_every_request_by_its_end(model: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    await read(model, "fake-5-0")
    await read(model, "fake-5-0")
    await read(model, "length-7")
    with pytest.raises(openai.RateLimitError):
        await begin(model, "fail-429")

    now = await stats(http)

    counts = {"requests": 2, "started": 2, "finished": 2, "aborted": 0, "tokens_sent": 10, "active": 0}
    assert now["models"]["fake-5-0"] == counts
    assert set(now["models"]) == {"fake-5-0", "length-7", "fail-429"}
    total = {"requests": 4, "started": 3, "finished": 3, "aborted": 0, "tokens_sent": 17, "active": 0}
    assert now == total | {"last_abort_at": None, "models": now["models"]}
    reset = (await http.post("/stats/reset")).json()
    assert (reset["requests"], reset["models"]) == (0, {})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{not json", None),
        (b"[" * 10_000, None),
        (b'"text"', None),
        (b'{"model": "fake-1-0"}', "messages"),
        (b'{"model": "fake-1-0", "messages": []}', "messages"),
        (b'{"model": 1, "messages": [{"role": "user", "content": "Hi"}]}', "model"),
        (b'{"model": "fake-1-0", "messages": [{"role": "wizard", "content": "Hi"}]}', "messages.0.role"),
        (b'{"model": "fake-1-0", "messages": [{"role": "user"}], "tool_choice": "required"}', "tool_choice"),
        (b'{"model": "m", "messages": [{"role": "user"}], "parallel_tool_calls": false}', "parallel_tool_calls"),
    ],
)
async def test_a_body_that_the_model_does_not_serve_is_refused(
    http: httpx2.AsyncClient, body: bytes, param: str | None
) -> None:
    response = await http.post("/v1/chat/completions", content=body)

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]


async def test_the_default_model_is_listed(model: AsyncOpenAI) -> None:
    assert [listed.id async for listed in model.models.list()] == ["fake-60-30"]


async def test_another_path_or_method_is_not_found(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/chat/completions")).status_code == 404
    assert (await http.get("/elsewhere")).json()["error"]["type"] == "invalid_request_error"


def test_the_server_exits_when_its_stdin_closes_also_during_a_request() -> None:
    process, url = start()
    body = {"model": "hang-1", "messages": [USER], "stream": True}

    with httpx2.stream("POST", f"{url}/chat/completions", json=body) as response:
        next(response.iter_lines())

        assert stop(process) == 0


def test_the_server_ends_with_a_killed_parent() -> None:
    parent = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", parent, *COMMAND], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("listening on")

    os.kill(process.pid, signal.SIGKILL)

    with process:
        assert process.stdout.read() == ""  # it is closed, so the server, which held it also, has ended
