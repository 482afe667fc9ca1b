"""The scripted model server, met as a program talks to it: a process, and OpenAI's own client."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionChunk

pytestmark = pytest.mark.anyio

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "local.model", "--exit-on-stdin-eof"]
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


def start(**options: Any) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        COMMAND, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith("listening on http://127.0.0.1:")
    assert ready.endswith("/v1\n")
    return process, ready.split()[-1]


def stop(process: subprocess.Popen[str]) -> int:
    with process:
        assert process.stdin is not None
        process.stdin.close()
        return process.wait(5)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    process, url = start()
    yield url
    stop(process)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=url.removesuffix("/v1")) as http:
        await http.post("/stats/reset")
        yield http


@pytest.fixture
async def model(url: str, http: httpx2.AsyncClient) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url, api_key="sk-anything", max_retries=0, timeout=5) as client:
        yield client


async def begin(model: AsyncOpenAI, name: str, *messages: Any, **options: Any) -> Any:
    """Start a stream that carries usage, and return it."""
    conversation: Any = messages or [USER]
    create: Any = model.chat.completions.create
    return await create(
        model=name, messages=conversation, stream=True, stream_options={"include_usage": True}, **options
    )


async def read(model: AsyncOpenAI, name: str, *messages: Any, **options: Any) -> list[ChatCompletionChunk]:
    return [chunk async for chunk in await begin(model, name, *messages, **options)]


async def read_until(
    error: type[Exception], model: AsyncOpenAI, name: str, **options: Any
) -> tuple[list[ChatCompletionChunk], Exception]:
    """What came before `error`, which has to come, and the error itself."""
    chunks: list[ChatCompletionChunk] = []
    try:
        async for chunk in await begin(model, name, **options):
            chunks.append(chunk)  # noqa: PERF401 - a comprehension would lose them
    except error as raised:
        return chunks, raised
    pytest.fail(f"{name} ended without {error.__name__}")


async def say(model: AsyncOpenAI, name: str, *messages: Any, **options: Any) -> str:
    return "".join(pieces(await read(model, name, *messages, **options)))


def pieces(chunks: list[ChatCompletionChunk]) -> list[str]:
    return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]


def finish_reason(chunks: list[ChatCompletionChunk]) -> str | None:
    return next((chunk.choices[0].finish_reason for chunk in reversed(chunks) if chunk.choices), None)


def calls_in(chunks: list[ChatCompletionChunk]) -> list[dict[str, Any]]:
    """The streamed tool calls, put together by index as a client does."""
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


def called(calls: list[dict[str, Any]]) -> dict[str, Any]:
    """The assistant message of a conversation in which `calls` were made."""
    return {"role": "assistant", "content": None, "tool_calls": [call_body(call) for call in calls]}


def call_body(call: dict[str, Any]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
    return {"id": call["id"], "type": "function", "function": function}


def result(call: dict[str, Any], text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call["id"], "content": text}


async def stats(http: httpx2.AsyncClient) -> dict[str, Any]:
    return (await http.get("/stats")).json()


async def eventually(http: httpx2.AsyncClient, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The stats, once they are what they have to become."""
    with anyio.fail_after(5):
        while not reached(now := await stats(http)):  # noqa: ASYNC110 - another process has no event to wait for
            await anyio.sleep(0.002)
    return now


async def test_an_answer_streams_as_openai_streams_it(model: AsyncOpenAI) -> None:
    chunks = await read(model, "fake-50-0")

    first, *middle, last, usage = chunks
    assert (first.choices[0].delta.role, first.choices[0].delta.content) == ("assistant", "")
    assert len(middle) == 50
    assert all(chunk.choices[0].finish_reason is None and chunk.usage is None for chunk in [first, *middle])
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("stop", None)
    assert usage.choices == []
    assert usage.usage is not None
    assert (usage.usage.prompt_tokens, usage.usage.completion_tokens, usage.usage.total_tokens) == (4, 50, 54)
    assert {(chunk.id, chunk.object, chunk.model) for chunk in chunks} == {
        (first.id, "chat.completion.chunk", "fake-50-0")
    }
    assert all(chunk.created and chunk.system_fingerprint for chunk in chunks)


async def test_the_stream_ends_with_done_and_without_usage_that_nobody_asked_for(http: httpx2.AsyncClient) -> None:
    body = {"model": "fake-2-0", "messages": [USER], "stream": True}

    response = await http.post("/v1/chat/completions", json=body)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")
    assert "usage" not in response.text


async def test_an_answer_in_one_piece_is_the_streamed_one(model: AsyncOpenAI) -> None:
    whole = await model.chat.completions.create(model="fake-40-0", messages=cast("Any", [USER]))

    assert whole.object == "chat.completion"
    assert whole.choices[0].message.content == await say(model, "fake-40-0")
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 40


async def test_the_answer_says_who_speaks_what_was_asked_and_how_much_is_remembered(model: AsyncOpenAI) -> None:
    asked = "Please explain " + "at great length " * 20
    before = [{"role": "system", "content": "Be brief."}, user("Hi"), {"role": "assistant", "content": "Hello"}]

    answer = await say(model, "fake-60-0", *before, user(asked))

    assert answer.startswith("Scripted model here, in place of a real one.")
    assert "You said “Please explain at great length" in answer
    assert "…”" in answer
    assert "I was given 3 messages of this conversation." in answer


async def test_the_answer_is_the_same_each_time_readable_and_varied(model: AsyncOpenAI) -> None:
    chunks = await read(model, "fake-200-0")

    answer = "".join(pieces(chunks))
    assert answer == await say(model, "fake-200-0")
    assert all(piece.strip() and piece.endswith(" ") for piece in pieces(chunks)[:-1])
    sentences = answer.split(". ")
    assert len(set(sentences)) == len(sentences)
    assert answer != await say(model, "fake-200-0", user("Something else"))


async def test_text_in_parts_and_other_alphabets_are_understood(model: AsyncOpenAI) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "Grüße 👋"}, {"type": "text", "text": "an alle"}]}

    assert "“Grüße 👋 an alle”" in await say(model, "fake-40-0", parts)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (400, openai.BadRequestError, None),
        (401, openai.AuthenticationError, "invalid_api_key"),
        (403, openai.PermissionDeniedError, None),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
        (503, openai.InternalServerError, "service_unavailable"),
    ],
)
async def test_fail_answers_with_its_status(
    model: AsyncOpenAI, status: int, error: type[openai.APIStatusError], code: str | None
) -> None:
    with pytest.raises(error) as raised:
        await begin(model, f"fail-{status}")

    assert raised.value.status_code == status
    assert raised.value.code == code
    assert raised.value.type in ("invalid_request_error", "server_error")
    assert ("retry-after" in raised.value.response.headers) == (status in (429, 503))


async def test_flaky_fails_as_often_as_it_says_and_then_answers(model: AsyncOpenAI) -> None:
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            await begin(model, "flaky-2-here")

    assert len(pieces(await read(model, "flaky-2-here"))) == 20
    with pytest.raises(openai.InternalServerError):
        await begin(model, "flaky-2-there")


async def test_a_client_that_retries_gets_through_a_flaky_model(model: AsyncOpenAI) -> None:
    patient = model.with_options(max_retries=2)

    assert len(pieces(await read(patient, "flaky-2-retried"))) == 20


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("cut-3", openai.APIConnectionError),
        ("error-3", openai.APIError),
        ("garbage-3", json.JSONDecodeError),
    ],
)
async def test_a_stream_that_breaks_delivers_its_tokens_first(
    model: AsyncOpenAI, name: str, error: type[Exception]
) -> None:
    chunks, raised = await read_until(error, model, name)

    assert type(raised) is error
    assert len(pieces(chunks)) == 3
    assert finish_reason(chunks) is None


@pytest.mark.parametrize(
    ("name", "reason", "has_usage"),
    [
        ("end-3", None, False),
        ("length-3", "length", True),
        ("filter-3", "content_filter", True),
        ("nousage-3", "stop", False),
    ],
)
async def test_a_stream_can_end_in_other_ways(
    model: AsyncOpenAI, name: str, reason: str | None, has_usage: bool
) -> None:
    chunks = await read(model, name)

    assert len(pieces(chunks)) == 3
    assert finish_reason(chunks) == reason
    assert any(chunk.usage for chunk in chunks) == has_usage


async def test_only_a_stream_can_break_midway(model: AsyncOpenAI) -> None:
    with pytest.raises(openai.InternalServerError):
        await model.chat.completions.create(model="cut-3", messages=cast("Any", [USER]))


async def test_hang_sends_its_tokens_and_then_keeps_silent(model: AsyncOpenAI) -> None:
    chunks, _ = await read_until(openai.APITimeoutError, model, "hang-3", timeout=0.3)

    assert len(pieces(chunks)) == 3


async def test_mute_sends_not_even_headers_until_its_time_has_come(
    model: AsyncOpenAI, http: httpx2.AsyncClient
) -> None:
    with pytest.raises(openai.APITimeoutError):
        await begin(model, "mute-60", timeout=0.2)

    assert (await stats(http))["models"]["mute-60"]["started"] == 0
    assert len(pieces(await read(model, "mute-0"))) == 20


async def test_closing_a_stream_reaches_the_server(model: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
    for name in ("hang-3", "fake-1000-20"):
        stream = await begin(model, name)
        await anext(aiter(stream))
        assert (await stats(http))["models"][name]["active"] == 1

        await stream.close()

        now = await eventually(http, lambda now, name=name: now["models"][name]["aborted"] == 1)
        assert now["models"][name]["active"] == now["models"][name]["finished"] == 0
        assert now["models"][name]["tokens_sent"] < 1000
        assert now["last_abort_at"] > 0


@pytest.mark.parametrize("name", ["mute-60", "hang-0", "fake-10-60000"])
async def test_a_cancelled_request_reaches_a_server_that_is_silent(
    model: AsyncOpenAI, http: httpx2.AsyncClient, name: str
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, model, name)
        await eventually(http, lambda now: now["active"] == 1)
        tasks.cancel_scope.cancel()

    now = await eventually(http, lambda now: now["active"] == 0)
    assert (now["aborted"], now["finished"]) == (1, 0)


async def test_stats_tell_what_became_of_every_request(model: AsyncOpenAI, http: httpx2.AsyncClient) -> None:
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


async def test_a_tool_is_called_with_the_given_arguments_in_fragments(model: AsyncOpenAI) -> None:
    asked = user('please call add {"a": 2, "b": 3} and use current_time.')

    chunks = await read(model, "fake-20-0", asked, tools=offer(ADD, CLOCK))

    calls = calls_in(chunks)
    assert named(calls) == [("add", {"a": 2, "b": 3}), ("current_time", {})]
    assert all(call["id"].startswith("call_") for call in calls)
    assert len({call["id"] for call in calls}) == 2
    assert all(len(call["fragments"]) > 1 for call in calls)
    assert finish_reason(chunks) == "tool_calls"
    assert pieces(chunks) == []


async def test_a_tool_call_in_one_piece(model: AsyncOpenAI) -> None:
    whole = await model.chat.completions.create(
        model="fake-20-0", messages=cast("Any", [user('call add {"a": 2, "b": 3}')]), tools=offer(ADD)
    )

    message = whole.choices[0].message
    assert whole.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert [call.to_dict() for call in message.tool_calls or []] == [
        {"id": call.id, "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
        for call in message.tool_calls or []
    ]


async def test_results_of_tools_are_quoted_in_the_answer(model: AsyncOpenAI) -> None:
    asked = user('call add {"a": 2, "b": 3} and call current_time')
    tools = offer(ADD, CLOCK)
    calls = calls_in(await read(model, "fake-20-0", asked, tools=tools))
    results = [result(calls[0], "5"), result(calls[1], "noon " * 100)]

    answer = await say(model, "fake-60-0", asked, called(calls), *results, tools=tools)

    assert "add returned “5”." in answer
    assert "current_time returned “noon noon" in answer
    assert "I was given 4 messages" in answer


async def test_then_puts_a_call_into_the_next_step(model: AsyncOpenAI) -> None:
    asked = user('call add {"a": 1, "b": 1} then call add {"a": 2, "b": 2} and then use current_time')
    conversation, steps = [asked], list[Any]()

    while calls := calls_in(await read(model, "fake-40-0", *conversation, tools=offer(ADD, CLOCK))):
        steps.append(named(calls))
        conversation += [called(calls), *(result(call, f"result {len(steps)}") for call in calls)]

    assert steps == [[("add", {"a": 1, "b": 1})], [("add", {"a": 2, "b": 2})], [("current_time", {})]]
    assert "current_time returned “result 3”" in await say(model, "fake-40-0", *conversation)


async def test_missing_arguments_are_made_from_the_schema(model: AsyncOpenAI) -> None:
    properties = {
        "text": {"type": "string"},
        "size": {"type": "integer", "minimum": 3},
        "exact": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        "color": {"type": "string", "enum": ["red", "blue"]},
        "unit": {"type": "string", "default": "cm"},
        "city": {"type": "string", "examples": ["Oslo"]},
        "place": {"$ref": "#/$defs/Place"},
        "maybe": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "left_out": {"type": "string"},
    }
    place = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    required = [name for name in properties if name != "left_out"]
    schema = {"type": "object", "properties": properties, "required": required, "$defs": {"Place": place}}

    chunks = await read(model, "fake-9-0", user("use measure"), tools=offer({"name": "measure", "parameters": schema}))

    assert calls_in(chunks)[0]["arguments"] == {
        "text": "",
        "size": 3,
        "exact": False,
        "tags": ["x"],
        "color": "red",
        "unit": "cm",
        "city": "Oslo",
        "place": {"id": 0},
        "maybe": 0,
    }


async def test_arguments_that_are_no_json_are_passed_on_as_models_do(model: AsyncOpenAI) -> None:
    chunks = await read(model, "fake-9-0", user("call add {a: two} please"), tools=offer(ADD))

    deltas = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    assert "".join(call.function.arguments or "" for call in deltas if call.function) == "{a: two}"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tools": offer(CLOCK)},
        {"tools": offer(ADD), "tool_choice": "none"},
    ],
)
async def test_a_tool_that_is_not_offered_or_not_allowed_is_not_called(
    model: AsyncOpenAI, options: dict[str, Any]
) -> None:
    chunks = await read(model, "fake-5-0", user("call add"), **options)

    assert calls_in(chunks) == []
    assert finish_reason(chunks) == "stop"


async def test_a_tool_choice_forces_a_call_that_nobody_asked_for(model: AsyncOpenAI) -> None:
    tools = offer(CLOCK, ADD)

    required = await read(model, "fake-5-0", tools=tools, tool_choice="required")
    chosen = await read(model, "fake-5-0", tools=tools, tool_choice={"type": "function", "function": {"name": "add"}})

    assert named(calls_in(required)) == [("current_time", {})]
    assert named(calls_in(chosen)) == [("add", {"a": 0, "b": 0})]


async def test_without_parallel_tool_calls_each_call_has_its_own_step(model: AsyncOpenAI) -> None:
    asked = user("call current_time and call add")

    chunks = await read(model, "fake-5-0", asked, tools=offer(ADD, CLOCK), parallel_tool_calls=False)

    assert named(calls_in(chunks)) == [("current_time", {})]


async def test_a_stream_can_break_inside_a_tool_call(model: AsyncOpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        await read(model, "cut-2", user('call add {"a": 1, "b": 1}'), tools=offer(ADD))


async def test_an_unknown_model_is_not_found(model: AsyncOpenAI) -> None:
    for name in ("gpt-5", "fake-5", "fake-x-0", "fail-200", "cut-3-3", "flaky-1", ""):
        with pytest.raises(openai.NotFoundError) as raised:
            await begin(model, name)

        assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


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
    ],
)
async def test_a_malformed_body_is_refused(http: httpx2.AsyncClient, body: bytes, param: str | None) -> None:
    response = await http.post("/v1/chat/completions", content=body)

    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]


async def test_a_tool_call_and_its_result_must_follow_each_other(model: AsyncOpenAI) -> None:
    call: dict[str, Any] = {"id": "call_1", "name": "add", "arguments": {}}

    for conversation in ([USER, result(call, "5")], [USER, called([call])], [USER, called([call]), USER]):
        with pytest.raises(openai.BadRequestError):
            await begin(model, "fake-1-0", *conversation)


async def test_the_default_model_is_listed(model: AsyncOpenAI) -> None:
    assert [listed.id async for listed in model.models.list()] == ["fake-60-30"]


async def test_another_path_or_method_is_not_found(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/v1/chat/completions")).status_code == 404
    assert (await http.get("/elsewhere")).json()["error"]["type"] == "invalid_request_error"


async def test_requests_are_answered_side_by_side(model: AsyncOpenAI) -> None:
    answers: list[int] = []

    async def collect() -> None:
        answers.append(len(pieces(await read(model, "fake-30-1"))))

    silent = await begin(model, "hang-1")
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(collect)

    await silent.close()
    assert answers == [30] * 20


def test_the_server_exits_when_its_stdin_closes_even_with_a_request_under_way() -> None:
    process, url = start()
    body = {"model": "hang-1", "messages": [USER], "stream": True}

    with httpx2.stream("POST", f"{url}/chat/completions", json=body) as response:
        next(response.iter_lines())

        assert stop(process) == 0


def test_the_server_dies_with_a_killed_parent() -> None:
    parent = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", parent, *COMMAND], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("listening on")

    os.kill(process.pid, signal.SIGKILL)

    with process:
        assert process.stdout.read() == ""  # its end came, so the server, which held it too, is gone
