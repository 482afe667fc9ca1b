"""Reads the JSON objects of a model's answer from the event stream that its server sends."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress
from typing import Any, cast

import httpx2
from pydantic_core import from_json

from turnlog.domain.errors import ModelError
from turnlog.models.complaints import is_complaint
from turnlog.models.failures import READING_ERRORS, failure_in
from turnlog.models.frames import Frame, FrameReader

_DRAIN_SECONDS = 1.0
_QUOTED_LENGTH = 100
_DONE = re.compile(rb'\s*"?\[DONE\]', re.IGNORECASE)
_HEARTBEAT = re.compile(r"\W*(ping|pong|keep-?alive|heartbeat|)\W*", re.IGNORECASE)
_MESSAGE_EVENTS = frozenset({b"", b"message"})


class EventStream:
    """The JSON objects of an answer, until `[DONE]` or the end of the stream. `is_done`: the server declared the end.

    An iteration raises ModelError for what the server reports, and READING_ERRORS where the connection breaks.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._frames = FrameReader()
        self._values = self._read()
        self.is_done = False

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self._values

    async def drain(self) -> None:
        """Read to the end, so that the connection can serve another call. Nothing here fails an answer."""
        await _drain(self._values)

    async def aclose(self) -> None:
        await self._values.aclose()
        await self._response.aclose()

    async def _read(self) -> AsyncGenerator[dict[str, Any]]:
        has_frames = False
        async with aclosing(self._response.aiter_bytes()) as packets:
            async for frames in self._batches(packets):
                for frame in frames:
                    if frame.data[:1] != b"{" and _DONE.match(frame.data):
                        self.is_done = True
                        await _drain(packets)
                        return
                    if (value := _value_of(frame)) is not None:
                        has_frames = True
                        yield value
        if not has_frames:
            yield self._whole_answer()

    async def _batches(self, packets: AsyncIterator[bytes]) -> AsyncIterator[Iterator[Frame]]:
        async for packet in packets:
            yield self._frames.read(packet)
        yield self._frames.finish()

    def _whole_answer(self) -> dict[str, Any]:
        """Return the answer of a server that did not stream it."""
        text = self._frames.unframed
        self.is_done = True
        try:
            return _checked(parse_json(text.encode()))
        except ValueError:
            if not text or "\ufffd" in text:  # nothing, or a compression that was not asked for
                detail = "The model's server sent no answer that can be read."
                raise ModelError("model_broke_off", detail, transient=True) from None
            raise failure_in(text, "model_broke_off") from None


async def _drain(iterator: AsyncIterator[Any]) -> None:
    with suppress(TimeoutError, ModelError, *READING_ERRORS):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in iterator:
                pass


def parse_json(data: bytes) -> Any:
    """Parse JSON, also with half characters, raw control characters or numbers that JSON does not have.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return from_json(data, allow_inf_nan=False, cache_strings="keys")  # takes a third of the time of `json`
    except ValueError as error:
        if "recursion" in str(error):
            raise
        return json.loads(data.decode(errors="replace"), strict=False, parse_constant=lambda _: None)


def _value_of(frame: Frame) -> dict[str, Any] | None:
    """Return the object of one frame; None for a heartbeat.

    Raises:
        ModelError: the frame is an error, or is not JSON.
    """
    is_message = frame.event in _MESSAGE_EVENTS
    try:
        value = parse_json(frame.data)
    except ValueError:
        text = frame.data.decode(errors="replace")
        if frame.event == b"error":
            raise failure_in(text, "model_error") from None
        if not is_message or _HEARTBEAT.fullmatch(text):
            return None
        detail = f"The model's stream holds a frame that is not JSON: {text[:_QUOTED_LENGTH]}"
        raise ModelError("model_broke_off", detail, transient=True) from None
    if frame.event == b"error":
        raise failure_in(value, "model_error")
    if is_message or (isinstance(value, dict) and cast("dict[str, Any]", value).get("error")):
        return _checked(value)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _checked(value: Any) -> dict[str, Any]:
    """Return `value` if it may be a chunk.

    Raises:
        ModelError: it is an error, or no object.
    """
    if not isinstance(value, dict):
        raise failure_in(value, "model_broke_off")
    chunk = cast("dict[str, Any]", value)
    if is_complaint(chunk):
        raise failure_in(chunk, "model_error")
    return chunk
