"""Tool calls are put together from their fragments in each of the ways in which servers mark them."""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.models.strategies import unhurried
from turnlog.domain.values import Piece
from turnlog.models.tool_calls import MAX_CALLS, ToolCalls

Given = tuple[str, str]
"""A call's name and its arguments."""

# No key begins with a brace: a fragment that repeats the beginning `{"` is taken for all arguments until then.
_keys = st.text(st.characters(codec="utf-8", exclude_characters="{"), max_size=3)
_objects = st.dictionaries(_keys, st.text('{}"[]\\ab🙂', max_size=5) | st.integers(), max_size=3)
_calls = st.lists(st.tuples(st.sampled_from(["add", "clock"]), _objects.map(json.dumps)), min_size=1, max_size=3)
_numbers = itertools.count()


def assembled(*entries: Any) -> ToolCalls:
    calls = ToolCalls()
    for entry in entries:
        list(calls.add([entry]))
    return calls


def found_in(calls: ToolCalls) -> list[Given]:
    return [(call.name, call.arguments) for call in calls.values()]


def _with_index(number: int, name: str, pieces: list[str]) -> Iterator[dict[str, Any]]:
    yield {"index": number, "id": f"c{number}", "function": {"name": name, "arguments": ""}}
    yield from ({"index": number, "function": {"arguments": piece}} for piece in pieces)


def _with_blanks(number: int, name: str, pieces: list[str]) -> Iterator[dict[str, Any]]:
    yield {"index": number, "id": f"c{number}", "function": {"name": name, "arguments": None}}
    yield from ({"index": number, "id": "", "function": {"name": None, "arguments": piece}} for piece in pieces)


def _with_id_alone(number: int, name: str, pieces: list[str]) -> Iterator[dict[str, Any]]:
    yield {"id": f"c{number}", "function": {"name": name}}
    yield from ({"id": f"c{number}", "function": {"arguments": piece}} for piece in pieces)


def _with_nothing(number: int, name: str, pieces: list[str]) -> Iterator[dict[str, Any]]:
    yield {"id": f"c{number}", "function": {"name": name, "arguments": pieces[0]}}
    yield from ({"function": {"arguments": piece}} for piece in pieces[1:])


def _with_one_index(number: int, name: str, pieces: list[str]) -> Iterator[dict[str, Any]]:
    yield {"index": 0, "id": f"c{number}", "function": {"name": name, "arguments": pieces[0]}}
    yield from ({"index": 0, "function": {"arguments": piece}} for piece in pieces[1:])


def _with_new_ids(number: int, name: str, pieces: list[str]) -> Iterator[dict[str, Any]]:
    yield {"index": number, "id": f"c{number}", "function": {"name": name, "arguments": ""}}
    yield from ({"index": number, "id": f"n{next(_numbers)}", "function": {"arguments": piece}} for piece in pieces)


def _with_wrong_index_later(number: int, name: str, pieces: list[str]) -> Iterator[dict[str, Any]]:
    yield {"index": 0, "id": f"c{number}", "function": {"name": name, "arguments": ""}}
    yield from ({"index": number, "function": {"arguments": piece}} for piece in pieces)


def _so_far(number: int, name: str, pieces: list[str]) -> Iterator[dict[str, Any]]:
    for text in itertools.accumulate(pieces):
        yield {"index": number, "id": f"c{number}", "function": {"name": name, "arguments": text}}


_WAYS = [
    _with_index,
    _with_blanks,
    _with_id_alone,
    _with_nothing,
    _with_one_index,
    _with_new_ids,
    _with_wrong_index_later,
    _so_far,
]


@pytest.mark.parametrize("way", _WAYS)
@unhurried
@given(given_calls=_calls, data=st.data())
def test_arguments_cut_anywhere_come_together_again(
    way: Callable[[int, str, list[str]], Iterator[dict[str, Any]]], given_calls: list[Given], data: st.DataObject
) -> None:
    entries: list[dict[str, Any]] = []
    for number, (name, arguments) in enumerate(given_calls):
        edges = sorted(data.draw(st.sets(st.integers(1, len(arguments) - 1), max_size=4)))
        pieces = [arguments[start:end] for start, end in itertools.pairwise([0, *edges, len(arguments)])]
        entries.extend(way(number, name, pieces))

    assert found_in(assembled(*entries)) == given_calls


@unhurried
@given(given_calls=_calls, data=st.data())
def test_pieces_of_several_calls_may_come_in_any_order(given_calls: list[Given], data: st.DataObject) -> None:
    queues = [list(_with_index(number, name, list(text))) for number, (name, text) in enumerate(given_calls)]
    entries = [queue.pop(0) for queue in queues]
    while any(queues):
        queue = data.draw(st.sampled_from([each for each in queues if each]))
        entries.append(queue.pop(0))

    assert found_in(assembled(*entries)) == given_calls


@unhurried
@given(_calls)
def test_watchers_are_given_what_the_arguments_become(given_calls: list[Given]) -> None:
    calls = ToolCalls()
    entries = [
        each for number, (name, text) in enumerate(given_calls) for each in _with_index(number, name, list(text))
    ]

    pieces = [piece for entry in entries for piece in calls.add([entry])]

    for number, (_, arguments) in enumerate(given_calls):
        assert "".join(piece.text for piece in pieces if piece.call == number) == arguments


def test_the_first_piece_of_a_call_names_it() -> None:
    entry = {"index": 3, "id": "a", "function": {"name": "add", "arguments": ""}}

    assert list(ToolCalls().add([entry])) == [Piece("arguments", "", 0, "add")]


_CALL: dict[str, Any] = {"id": "a", "function": {"name": "add", "arguments": {"x": 1}}}


@pytest.mark.parametrize("sent", [[_CALL], {"0": _CALL}, _CALL, [{"id": "a", **_CALL["function"]}]])
def test_calls_are_read_from_lists_and_objects(sent: Any) -> None:
    calls = ToolCalls()
    list(calls.add(sent))

    assert found_in(calls) == [("add", '{"x": 1}')]


@pytest.mark.parametrize("entry", [None, 7, "add", [], {"function": 7}, {"function": {"arguments": 7, "name": {}}}])
def test_entries_that_are_no_calls_break_nothing(entry: Any) -> None:
    assert [call.name for call in assembled(entry).values()] in ([], [""])


@pytest.mark.parametrize(
    ("arguments", "stored"),
    [
        (None, "{}"),
        ("", "{}"),
        ('"{\\"x\\": 1}"', '{"x": 1}'),
        ('"x"', '"x"'),
        ('"{"', '"{"'),
        ('{"x": 1', '{"x": 1'),
    ],
)
def test_arguments_are_kept_as_they_were_written_unless_they_are_encoded_twice(arguments: Any, stored: str) -> None:
    assert found_in(assembled({"function": {"name": "f", "arguments": arguments}})) == [("f", stored)]


def test_fields_of_the_server_and_its_id_are_kept_with_a_call() -> None:
    calls = assembled(
        {"index": 0, "id": "a", "function": {"name": "f"}, "extra": {"signature": "x"}},
        {"index": 1, "function": {"name": "g"}, "extra": None},
    )

    assert [call.vendor for call in calls.values()] == [{"id": "a", "extra": {"signature": "x"}}, {}]
    assert [each.get("extra") for each in calls.as_sent()] == [{"signature": "x"}, None]


def test_a_server_that_calls_without_end_is_read_to_a_limit() -> None:
    calls = assembled(*({"index": number, "function": {"name": "f"}} for number in range(MAX_CALLS + 9)))

    assert len(calls.values()) == MAX_CALLS


def test_endless_names_are_cut() -> None:
    calls = assembled(*({"index": 0, "function": {"name": f"{'x' * 50}{number}"}} for number in range(100)))

    assert len(calls.values()[0].name) <= 256
