"""Pieces of texts and fields become whole again, and stay within what may be stored."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import unhurried
from turnlog.domain.sizes import size_as_sent
from turnlog.models.merging import Fields, Room, Text, merge, replaced_surrogates, without_surrogates


def halves(text: str) -> list[str]:
    """Return `text` as servers in JavaScript cut it: each half of a character on its own."""
    units = text.encode("utf-16-le", "surrogatepass")
    return [units[start : start + 2].decode("utf-16-le", "surrogatepass") for start in range(0, len(units), 2)]


@unhurried
@given(st.text())
def test_a_text_that_is_cut_inside_characters_becomes_whole_again(whole: str) -> None:
    text = Text()

    pieces = [text.add(half) for half in halves(whole)]

    assert text.value == "".join(pieces) == whole


@unhurried
@given(st.text(st.characters(categories=["Cs", "L"]), max_size=20), st.integers(min_value=0, max_value=20))
def test_half_characters_are_replaced_wherever_a_text_is_cut(whole: str, end: int) -> None:
    text = Text()

    pieces = [text.add(whole[:end]), text.add(whole[end:])]

    complete = whole[:-1] if "\ud800" <= whole[-1:] <= "\udbff" else whole  # the last half may become whole
    assert text.value == "".join(pieces) == replaced_surrogates(complete)


@unhurried
@given(st.lists(st.text(max_size=5)), st.integers(min_value=0, max_value=12))
def test_a_text_is_cut_where_it_is_as_long_as_it_may_be(pieces: list[str], max_bytes: int) -> None:
    text = Text(Room(max_bytes))

    added = "".join(text.add(piece) for piece in pieces)

    whole = "".join(pieces)
    assert whole.startswith(added)
    assert text.size == len(added.encode())
    assert size_as_sent(added) <= max_bytes
    assert text.is_cut == (added != whole)


@pytest.mark.parametrize("piece", [None, 7, ["a"], {"a": 1}, ""])
def test_what_is_no_text_adds_nothing(piece: Any) -> None:
    text = Text()

    assert text.add(piece) == text.value == text.last == ""


def test_half_a_character_alone_is_replaced() -> None:
    assert replaced_surrogates("a\ud83db\ude42") == "a\ufffdb\ufffd"
    assert without_surrogates({"a": ["\ud83d"], "\ude42": 1}) == {"a": ["\ufffd"], "\ufffd": 1}


def merged(*deltas: dict[str, Any]) -> dict[str, Any]:
    target: dict[str, Any] = {}
    for delta in deltas:
        merge(target, delta)
    return target


_DELTAS: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [
    ([{"a": "x"}, {"a": "y"}], {"a": "xy"}),
    ([{"a": "x"}, {"a": None}, {"a": ""}], {"a": "x"}),
    ([{"type": "t"}, {"type": "t"}], {"type": "t"}),
    ([{"a": {"b": "x"}}, {"a": {"b": "y", "c": 1}}], {"a": {"b": "xy", "c": 1}}),
    ([{"a": [1]}, {"a": [2]}], {"a": [1, 2]}),
    ([{"a": [{"index": 0, "t": "x"}]}, {"a": [{"index": 0, "t": "y"}]}], {"a": [{"index": 0, "t": "xy"}]}),
    ([{"a": [{"t": "x"}]}, {"a": [{"t": "y"}]}], {"a": [{"t": "x"}, {"t": "y"}]}),
    ([{"a": "x"}, {"a": 1}], {"a": 1}),
    ([{"a": 1}, {"a": [{"b": None}]}], {"a": [{}]}),
]


@pytest.mark.parametrize(("deltas", "whole"), _DELTAS)
def test_deltas_are_merged_as_the_protocol_means_them(deltas: list[dict[str, Any]], whole: dict[str, Any]) -> None:
    assert merged(*deltas) == whole


def test_entries_of_one_index_are_one_only_if_their_types_and_ids_agree() -> None:
    entries = [
        {"index": 0, "type": "reasoning.text", "text": "I "},
        {"index": 0, "type": "reasoning.text", "text": "see."},
        {"index": 0, "type": "reasoning.encrypted", "id": "a", "data": "x"},
        {"index": 0, "type": "reasoning.encrypted", "id": "b", "data": "y"},
        {"index": 0, "type": "reasoning.text", "signature": "s"},
    ]

    assert merged(*({"details": [entry]} for entry in entries))["details"] == [
        {"index": 0, "type": "reasoning.text", "text": "I see.", "signature": "s"},
        entries[2],
        entries[3],
    ]


def test_merging_leaves_what_was_sent_as_it_was() -> None:
    sent = {"a": [{"index": 0, "t": "x"}], "b": {"c": "x"}}

    merged(sent, sent)

    assert sent == {"a": [{"index": 0, "t": "x"}], "b": {"c": "x"}}


def test_fields_are_dropped_together_where_they_are_too_large() -> None:
    fields = Fields()
    fields.add("a", {"small": 1})
    for _ in range(10):
        fields.add("b", "x" * 50_000)

    assert fields.value() == {}


@unhurried
@given(st.lists(st.text(max_size=4)))
def test_texts_among_fields_grow_as_they_do_elsewhere(pieces: list[str]) -> None:
    fields = Fields()
    for piece in pieces:
        fields.add("a", piece)

    assert fields.value().get("a", "") == "".join(pieces)
