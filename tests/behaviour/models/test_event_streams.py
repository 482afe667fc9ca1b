"""An answer's objects are read from its stream, its errors are raised, and its connection is left to the next call."""

import asyncio
import json

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import json_values, unhurried
from tests.behaviour.models.streams import Response, encode, events, read
from tests.behaviour.models.test_frames import cut
from tests.model_servers.objects import DONE, PIECES, TEXT, USAGE, call, calls, chunk, ending, rest, text, whole
from turnlog.domain.errors import ModelError
from turnlog.domain.values import Usage
from turnlog.models.merging import MAX_TEXT_BYTES
from turnlog.models.sse import parse_json

pytestmark = pytest.mark.anyio

ANSWER = b"".join(
    encode(
        [chunk({"reasoning_content": "hm"}), *text(), calls(call("{", index=0)), calls(rest("}", index=0)), *ending()]
    )
)


@unhurried
@given(st.lists(st.integers(min_value=0), max_size=30))
def test_any_cut_of_an_answer_into_packets_gives_the_same_pieces(places: list[int]) -> None:
    stream, pieces = asyncio.run(read(*cut(ANSWER, places)))

    assert [piece.text for piece in pieces] == ["hm", *PIECES, "{", "}"]
    assert (stream.text, stream.finish_reason, stream.tool_calls[0].arguments) == (TEXT, "stop", "{}")
    assert stream.usage is not None
    assert stream.usage == Usage.model_validate(USAGE)


async def test_a_stream_is_read_to_its_end_after_it_is_done() -> None:
    response = Response([*encode([chunk(), DONE]), b": a comment\n\n", b"\n"])
    stream = events(response)

    assert [each async for each in stream] == [chunk()]
    assert stream.is_done
    assert response.read == 4


async def test_closing_closes_the_response_also_in_mid_answer() -> None:
    response = Response(encode([chunk(), chunk()]))
    stream = events(response)
    async for _ in stream:
        break

    await stream.aclose()

    assert response.is_closed


async def test_a_server_that_does_not_stream_is_understood() -> None:
    stream, pieces = await read(b'{"object": "chat.completion",\n', b'"choices": [{"message": {"content": "Hi"}}]}')

    assert [piece.text for piece in pieces] == ["Hi"]
    assert stream.finish_reason == "stop"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b'data: {"error": {"message": "no"}}\n\n', "model_error"),
        (b'event: error\ndata: {"message": "no"}\n\n', "model_error"),
        (b"event: error\ndata: no\n\n", "model_error"),
        (b'event: other\ndata: {"error": "no"}\n\n', "model_error"),
        (b"data: no\n\n", "model_broke_off"),
        (b'data: ["no"]\n\n', "model_broke_off"),
        (b"<html>no</html>", "model_broke_off"),
    ],
)
async def test_an_error_in_place_of_an_answer_is_raised(frame: bytes, code: str) -> None:
    with pytest.raises(ModelError, match="no") as failure:
        await read(frame)

    assert (failure.value.failure_code, failure.value.transient) == (code, True)


async def test_a_connection_that_breaks_is_a_failure_only_before_the_end_of_the_answer() -> None:
    error = httpx2.ReadError("reset")

    stream, _ = await read(*encode([*text(), chunk(reason="stop")]), error=error)
    assert stream.text == TEXT

    with pytest.raises(ModelError) as failure:
        await read(*encode(text()), error=error)
    assert failure.value.failure_code == "model_broke_off"


async def test_silence_is_a_failure_of_its_own() -> None:
    with pytest.raises(ModelError) as failure:
        await read(*encode(text()), error=httpx2.ReadTimeout("silent"))

    assert failure.value.failure_code == "model_timeout"


async def test_an_answer_is_read_only_as_far_as_it_may_be_long() -> None:
    stream, _ = await read(*encode([chunk({"content": "x" * 600_000}), "this is not JSON"]))

    assert (len(stream.text), stream.finish_reason) == (MAX_TEXT_BYTES, "length")


async def test_a_frame_may_hold_a_whole_completion() -> None:
    stream, _ = await read(*encode([whole(), DONE]))

    assert stream.response["choices"][0]["message"]["content"] == TEXT


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}),
        (b'{"a": "x\ty"}', {"a": "x\ty"}),
        (b'{"a": "\xeb"}', {"a": "\ufffd"}),
        (b'{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
        (b" [1] ", [1]),
    ],
)
def test_json_is_parsed_also_where_it_is_not_quite_json(data: bytes, value: object) -> None:
    assert parse_json(data) == value


@pytest.mark.parametrize("data", [b"", b"{", b"ping", b"[" * 100_000, b"[" * 300 + b"]" * 300])
def test_what_is_not_json_or_too_deep_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(data)


@unhurried
@given(json_values("choices", "delta"))
def test_json_is_parsed_as_it_was_written(value: object) -> None:
    text = json.dumps(value)

    assert parse_json(text.encode()) == json.loads(text, parse_constant=lambda _: None)
