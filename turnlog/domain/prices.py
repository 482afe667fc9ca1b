"""Prices of models: what a model call costs, in exact decimals."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, cast

from turnlog.domain.values import Cost, Usage

_MILLION = Decimal(1_000_000)
_SMALLEST = Decimal("0.000000001")
_MAX_PRICE = Decimal(1_000_000)
_NAMES = ("input", "output", "cached_input", "reasoning")


@dataclass(frozen=True)
class Price:
    """Prices per million tokens. Cached prompt tokens and reasoning tokens may have prices of their own."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None
    reasoning: Decimal | None = None

    def cost_of(self, usage: Usage) -> Cost:
        """The cost of these tokens, rounded to nine digits after the point."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        reasoning = min(usage.reasoning_tokens, usage.completion_tokens)
        amount = (
            (usage.prompt_tokens - cached) * self.input
            + cached * (self.input if self.cached_input is None else self.cached_input)
            + (usage.completion_tokens - reasoning) * self.output
            + reasoning * (self.output if self.reasoning is None else self.reasoning)
        )
        return (amount / _MILLION).quantize(_SMALLEST, ROUND_HALF_EVEN).normalize()


@dataclass(frozen=True)
class Prices:
    """The prices by the names of models. A name that ends with `*` is for all models that begin with it."""

    by_name: Mapping[str, Price] = field(default_factory=dict[str, Price])

    def find(self, model: str) -> Price | None:
        """The price of `model`: that of its own name, otherwise that of the longest beginning."""
        if model in self.by_name:
            return self.by_name[model]
        matching = [name for name in self.by_name if name.endswith("*") and model.startswith(name[:-1])]
        return self.by_name[max(matching, key=len)] if matching else None

    def cost_of(self, model: str, usage: Usage) -> Cost | None:
        """The cost of a call; None if the model has no price."""
        price = self.find(model)
        return None if price is None else price.cost_of(usage)


def parse_prices(text: str) -> Prices:
    """The prices in a JSON object. Raises ValueError, which says what is wrong and where."""
    try:
        parsed: Any = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_constant)
    except ValueError as error:
        raise ValueError(f"takes a JSON object: {error}") from None
    return Prices({name: _price(name, value) for name, value in _members(parsed, "takes").items()})


def _price(model: str, value: Any) -> Price:
    if not model or "*" in model[:-1]:
        raise ValueError(f"has the name {model!r}: take a model's name, or a beginning with one `*` at its end")
    prices = _members(value, f"for {model!r} takes")
    if unknown := sorted(prices.keys() - set(_NAMES)):
        raise ValueError(f"for {model!r} has {', '.join(unknown)}: take {', '.join(_NAMES)}")
    if missing := [name for name in ("input", "output") if name not in prices]:
        raise ValueError(f"for {model!r} needs {' and '.join(missing)}: a price per million tokens")
    for name, price in prices.items():
        if not isinstance(price, Decimal) or not 0 <= price <= _MAX_PRICE:
            raise ValueError(f"for {model!r}: {name} takes a number from 0 to {_MAX_PRICE}")
    return Price(**prices)


def _members(value: Any, who: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{who} a JSON object")  # noqa: TRY004  # pydantic takes no TypeError
    return cast("dict[str, Any]", value)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
