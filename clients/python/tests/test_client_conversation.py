"""The cases of clients/cases, which the TypeScript client's tests also read: both clients fold the same way."""

import dataclasses
import json
from itertools import zip_longest
from typing import Any, cast

import pytest
from client_server import ROOT
from turnlog_client import Conversation, Event
from turnlog_client.events import event_of

CASES: list[dict[str, Any]] = json.loads((ROOT / "clients/cases/conversation.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_events_fold_to_the_conversation_of_the_case(case: dict[str, Any]) -> None:
    events = [_event(sent, number) for number, sent in enumerate(case["events"], 1)]

    for expected in case["expected"]:
        conversation = Conversation()
        for event in events[: expected["events"]]:
            conversation.apply(event)
        assert _named(_view(conversation), expected["conversation"]) == expected["conversation"]


def test_what_changed_has_a_greater_revision() -> None:
    conversation = Conversation()
    revisions: list[tuple[int, int]] = []
    for number, sent in enumerate(CASES[1]["events"], 1):
        conversation.apply(_event(sent, number))
        revisions.append((conversation.revision, sum(turn.revision for turn in conversation.turns)))

    assert revisions == sorted(set(revisions))


def _event(sent: dict[str, Any], number: int) -> Event:
    turn = sent.get("turn", "t1")
    ids = {"session_id": "s", "turn_id": turn, "message_id": sent.get("message", f"m-{turn}"), "trace_id": None}
    raw = {"sequence": sent.get("sequence", number), "timestamp": "2026-01-01T00:00:00Z", **ids}
    return event_of({**raw, "type": sent["type"], "data": sent["data"]})


def _view(conversation: Conversation) -> dict[str, Any]:
    turns = [{**dataclasses.asdict(turn), "answer": turn.answer} for turn in conversation.turns]
    active = conversation.active_turn.id if conversation.active_turn else None
    return {**dataclasses.asdict(conversation), "turns": turns, "state": conversation.state, "active_turn": active}


def _named(actual: Any, expected: Any) -> Any:
    """Return of `actual` what `expected` names; lists are whole."""
    match actual, expected:
        case dict(), dict():
            found, names = cast("dict[str, Any]", actual), cast("dict[str, Any]", expected)
            return {name: _named(found.get(name, "missing"), value) for name, value in names.items()}
        case list(), list():
            pairs = zip_longest(cast("list[Any]", actual), cast("list[Any]", expected), fillvalue="missing")
            return [_named(*pair) for pair in pairs]
        case _:
            return actual
