"""Prices of models: which one a model has, and what a call costs to the last digit."""

from decimal import Decimal

import pytest

from turnlog.domain.prices import Prices, parse_prices
from turnlog.domain.values import Usage, UsageRow, add_costs

PRICES = parse_prices(
    '{"gpt-5": {"input": 1.25, "output": 10, "cached_input": 0.125, "reasoning": 20},'
    ' "gpt-5*": {"input": 0.1, "output": 0.3}, "gpt-5-nano*": {"input": 0.05, "output": 0.4}}'
)


def _usage(prompt: int, completion: int, **details: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion, **details)


def test_a_call_costs_the_sum_of_its_tokens_at_their_prices() -> None:
    used = _usage(1000, 100, cached_tokens=400, reasoning_tokens=60)

    cost = PRICES.cost_of("gpt-5", used)

    assert cost == Decimal(600 * 125 + 400 * 125 // 10 + 40 * 1000 + 60 * 2000) / 100_000_000


def test_cached_and_reasoning_tokens_without_prices_cost_what_the_others_do() -> None:
    plain, detailed = _usage(10, 10), _usage(10, 10, cached_tokens=5, reasoning_tokens=5)

    assert PRICES.cost_of("gpt-5-mini", plain) == PRICES.cost_of("gpt-5-mini", detailed) == Decimal("0.000004")


def test_more_cached_tokens_than_tokens_do_not_lower_the_cost_below_theirs() -> None:
    assert PRICES.cost_of("gpt-5", _usage(8, 0, cached_tokens=900)) == Decimal("0.000001")


def test_sums_are_exact_where_binary_fractions_are_not() -> None:
    one, two = PRICES.cost_of("gpt-5-mini", _usage(1, 0)), PRICES.cost_of("gpt-5-mini", _usage(0, 1))
    rows = [UsageRow(agent="a", model="gpt-5-mini", calls=1, cost=cost) for cost in (one, two)]

    tenths = [PRICES.cost_of("gpt-5-mini", _usage(1_000_000, 0))] * 3
    assert rows[0].with_row(rows[1]).model_dump_json().endswith('"cost":4e-7}')
    assert 0.1 + 0.1 + 0.1 != 0.3  # as it would be with floats
    assert add_costs(add_costs(tenths[0], tenths[1]), tenths[2]) == Decimal("0.3")


def test_the_own_name_of_a_model_wins_then_the_longest_beginning() -> None:
    assert PRICES.find("gpt-5") == PRICES.by_name["gpt-5"]
    assert PRICES.find("gpt-5-nano-2026") == PRICES.by_name["gpt-5-nano*"]
    assert PRICES.find("gpt-5-mini") == PRICES.by_name["gpt-5*"]


def test_a_model_without_a_price_has_no_cost() -> None:
    assert PRICES.cost_of("other", _usage(5, 5)) is None
    assert Prices().cost_of("gpt-5", _usage(5, 5)) is None
    assert add_costs(None, None) is None
    assert "cost" not in UsageRow(agent="a", model="m").model_dump()


def test_a_price_of_zero_is_a_cost_of_zero() -> None:
    free = parse_prices('{"local*": {"input": 0, "output": 0}}')

    assert free.cost_of("local-llama", _usage(5, 5)) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "takes a JSON object"),
        ("[]", "takes a JSON object"),
        ('{"m": 3}', "for 'm' takes a JSON object"),
        ('{"m": {"input": 1}}', "for 'm' needs output"),
        ('{"m": {"input": 1, "output": 2, "outptu": 3}}', "for 'm' has outptu"),
        ('{"m": {"input": "1", "output": 2}}', "for 'm': input takes a number"),
        ('{"m": {"input": true, "output": 2}}', "for 'm': input takes a number"),
        ('{"m": {"input": 1, "output": -2}}', "for 'm': output takes a number"),
        ('{"m": {"input": 1, "output": NaN}}', "JSON has no NaN"),
        ('{"m": {"input": 1, "output": 1e400}}', "for 'm': output takes a number"),
        ('{"": {"input": 1, "output": 1}}', "take a model's name"),
        ('{"g*t": {"input": 1, "output": 1}}', "take a model's name"),
    ],
)
def test_wrong_prices_are_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_prices(text)
