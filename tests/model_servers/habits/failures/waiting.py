"""Servers that ask to be called later, and servers that are slow."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from tests.model_servers.answers import PLAIN, Body, Stream, answered, in_order, stream
from tests.model_servers.habit import Expected, Habit, failed, refused_at_once
from tests.model_servers.objects import BEGINNING, chunk, ending, error, text
from tests.model_servers.server import Exchange

_BUSY = "Rate limit reached."


@dataclass
class _Limiting:
    """Refuses until the time is over that it asks to wait. `refusal` is made when it is sent."""

    seconds: float
    refusal: Callable[[], Body]
    _since: list[float] = field(default_factory=list[float])

    async def __call__(self, exchange: Exchange) -> None:
        self._since = self._since or [time.monotonic()]
        is_over = time.monotonic() - self._since[0] >= self.seconds
        await (PLAIN if is_over else self.refusal())(exchange)


def _limits(name: str, by: str, does: str, seconds: float, refusal: Callable[[], Body]) -> Habit:
    """A server that answers the first call after the time that it asked to wait."""
    return Habit(name, by, does, _Limiting(seconds, refusal), Expected(max_calls=2))


def _header(name: str, by: str, does: str, seconds: float, headers: Mapping[str, str]) -> Habit:
    return _limits(name, by, does, seconds, lambda: Body(429, error(_BUSY), headers))


def _says(name: str, by: str, seconds: float, value: Any) -> Habit:
    return _limits(name, by, "Says in its error how long to wait.", seconds, lambda: Body(429, value))


def _asks_for(name: str, delay: str) -> Habit:
    """A server with a header that means no time worth waiting for."""
    refusal = Body(429, error(_BUSY), {"retry-after": delay})
    return Habit(name, "any", f"Asks to wait {delay!r} seconds.", in_order(refusal, answered()), Expected(max_calls=2))


def _gemini(delay: str) -> list[Any]:
    message = "You exceeded your current quota, please check your plan and billing details."
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]
    return [{"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}]


async def _late(exchange: Exchange) -> None:
    await asyncio.sleep(1.0)
    await PLAIN(exchange)


def _steadily(*frames: Any) -> Stream:
    """Return a stream that is never silent for long, but takes longer than a server may be silent."""
    return stream(*(each for frame in frames for each in (0.25, frame)), *text(), *ending())


HABITS = (
    _header("wait-seconds", "Azure OpenAI, OpenRouter", "Names seconds.", 1.0, {"retry-after": "1"}),
    _header("wait-fraction", "small servers", "Names a fraction of a second.", 0.5, {"retry-after": "0.5"}),
    _header("wait-unit", "small servers", "Names a unit.", 0.5, {"retry-after": "0.5s"}),
    _header(
        "wait-milliseconds", "Azure OpenAI", "Names milliseconds.", 0.6, {"retry-after-ms": "600", "retry-after": "1"}
    ),
    _limits(
        "wait-date",
        "Cloudflare",
        "Names a date.",
        1.0,
        lambda: Body(503, error(_BUSY), {"retry-after": formatdate(time.time() + 2.5, usegmt=True)}),
    ),
    _says("wait-gemini", "Gemini", 0.6, _gemini("0.6s")),
    _says(
        "wait-sentence", "OpenAI", 0.7, error("Rate limit reached. Please try again in 700ms.", "rate_limit_exceeded")
    ),
    _says("wait-sentence-long", "Groq", 1.0, error("Limit 6000, Used 5900. Please try again in 0m1.05s.")),
    _says("wait-text", "Gemini behind gateways", 0.5, "Please retry in 0.5 seconds."),
    _asks_for("wait-zero", "0"),
    _asks_for("wait-negative", "-5"),
    _asks_for("wait-nothing", ""),
    _asks_for("wait-not-a-number", "nan"),
    _asks_for("wait-long-ago", "Wed, 21 Oct 2015 07:28:00 GMT"),
    _asks_for("wait-no-date", "Wed, 21 Oct 99999 07:28:00 GMT"),
    Habit(
        "wait-a-day",
        "Gemini, Groq",
        "Asks to wait longer than a turn can.",
        Body(429, error(_BUSY), {"retry-after": "86400"}),
        refused_at_once("model_rate_limited", _BUSY),
    ),
    Habit(
        "wait-for-ever",
        "nobody",
        "Asks to wait for ever.",
        Body(429, error(_BUSY), {"retry-after": "1e999"}),
        refused_at_once("model_rate_limited", _BUSY),
    ),
    Habit("slow-head", "Ollama, reasoning models", "Sends its first byte late.", _late),
    Habit("slow-comments", "reasoning models", "Sends comments alone for 3 s.", _steadily(*[b": keep-alive\n\n"] * 12)),
    Habit("slow-words", "local models", "Sends a word now and then.", _steadily(*[chunk({"content": ""})] * 12)),
    Habit(
        "slow-thoughts",
        "DeepSeek, Qwen",
        "Thinks for 3 s.",
        _steadily(*[chunk({"reasoning_content": "hm "})] * 12),
        Expected(reasoning="hm " * 12),
    ),
    Habit(
        "silent-first",
        "any",
        "Sends its head, and then nothing.",
        in_order(stream(end="hold"), answered()),
        Expected(max_calls=2),
    ),
    Habit(
        "silent-later",
        "any",
        "Sends some text, and then nothing.",
        stream(*text(BEGINNING), end="hold"),
        failed("model_timeout", "silent", answer=BEGINNING),
    ),
)
