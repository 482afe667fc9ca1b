"""The scripts of the scripted model: a model's name says how its answers go."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal


@dataclass(frozen=True)
class Script:
    """How requests to a model are answered; times in seconds.

    `tokens` and `delay`: how many tokens, and how long between two of them. `thoughts`: reasoning before them.
    `ending`: how the stream ends after them. `silence`: how long before the response begins. `status`: that of every
    response. `failures`: how many requests fail with 503 first.
    """

    tokens: int = 20
    thoughts: int = 0
    delay: float = 0.0
    finish_reason: str | None = "stop"
    ending: Literal["done", "cut", "hang", "garbage", "error"] = "done"
    usage: bool = True
    silence: float = 0.0
    status: int = 200
    failures: int = 0


_KINDS: dict[str, Callable[[int], Script]] = {
    "fail": lambda number: Script(status=number),
    "flaky": lambda number: Script(failures=number),
    "mute": lambda number: Script(silence=number),
    "cut": lambda number: Script(tokens=number, ending="cut"),
    "hang": lambda number: Script(tokens=number, ending="hang"),
    "end": lambda number: Script(tokens=number, finish_reason=None, usage=False),
    "error": lambda number: Script(tokens=number, ending="error"),
    "garbage": lambda number: Script(tokens=number, ending="garbage"),
    "length": lambda number: Script(tokens=number, finish_reason="length"),
    "filter": lambda number: Script(tokens=number, finish_reason="content_filter"),
    "nousage": lambda number: Script(tokens=number, usage=False),
}
_NAME = r"fail-[45]\d\d|flaky-\d{1,6}-.+|(?:mute|cut|hang|end|error|garbage|length|filter|nousage)-\d{1,6}"


@lru_cache(maxsize=1024)
def parse_model_name(name: str) -> Script | None:
    """Return the script of the model `name`, or None if there is no such model."""
    if match := re.fullmatch(r"(fake|think)-(\d{1,6})-(\d{1,6})", name):
        tokens, delay = int(match[2]), int(match[3]) / 1000
        return Script(tokens=tokens, thoughts=tokens if match[1] == "think" else 0, delay=delay)
    if not re.fullmatch(_NAME, name):
        return None
    kind, number, *_ = name.split("-")
    return _KINDS[kind](int(number))
