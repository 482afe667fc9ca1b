"""What the command writes of events and sessions."""

from collections.abc import Mapping

import pytest
from turnlog_client.command.lines import event_line, one_line
from turnlog_client.command.transcript import Transcript
from turnlog_client.command.watch import SessionsView
from turnlog_client.conversation import Conversation
from turnlog_client.events import RoomFrame, event_of

STEP = {"step": 1, "attempt": 1}


def _written(*sent: tuple[str, Mapping[str, object]], has_styles: bool = False) -> str:
    pieces: list[str] = []
    transcript = Transcript(pieces.append, has_styles, 80)
    conversation = Conversation()
    for sequence, (kind, data) in enumerate(sent, 1):
        event = event_of({"sequence": sequence, "type": kind, "turn_id": "t", "message_id": "m", "data": data})
        conversation.apply(event)
        transcript.show(event, conversation)
    return "".join(pieces)


def test_what_steers_a_terminal_is_not_written() -> None:
    hostile = "a\x1b[2Jb\x07\x9bc\n\td"

    written = _written(("message.delta", {**STEP, "text": hostile}))
    line = event_line(event_of({"sequence": 1, "type": "x", "data": {"text": hostile}}), 80)

    assert written == "a�[2Jb��c\n\td"
    assert line.endswith("a�[2Jb��c d")


def test_a_text_that_came_in_pieces_is_not_written_again_when_it_is_complete() -> None:
    complete = {**STEP, "text": "Hello there", "reasoning": None, "partial": False, "finish_reason": "stop"}

    written = _written(
        ("message.start", STEP),
        ("message.delta", {**STEP, "text": "Hello "}),
        ("message.complete", complete),
    )

    assert written == "Hello there\n"


def test_a_step_that_starts_again_says_so_and_a_first_start_says_nothing() -> None:
    again = {"step": 1, "attempt": 2}

    assert _written(("message.start", again), ("message.delta", {**again, "text": "Hi"})) == "Hi"
    assert _written(
        ("message.start", STEP),
        ("message.delta", {**STEP, "text": "void"}),
        ("message.start", again),
        ("message.delta", {**again, "text": "Hi"}),
    ) == ("void\nstep 1 starts again (attempt 2): what it wrote is void\nHi")


def test_reasoning_is_dim_and_on_lines_of_its_own() -> None:
    sent = [("reasoning.delta", {**STEP, "text": "Hm"}), ("message.delta", {**STEP, "text": "Yes"})]

    assert _written(*sent, has_styles=True) == "\x1b[2mHm\x1b[0m\nYes"
    assert _written(*sent) == "Hm\nYes"


def test_events_of_other_producers_are_not_written() -> None:
    assert _written(("message.delta", {**STEP, "text": "theirs", "origin": "outside"})) == ""


@pytest.mark.parametrize(("text", "line"), [("a\n b", "a b"), ("abcdef", "abcd…"), ("abcde", "abcde")])
def test_a_line_has_a_limit(text: str, line: str) -> None:
    assert one_line(text, 5) == line


def test_a_session_is_listed_again_only_when_it_changes_and_never_by_an_older_view() -> None:
    view = SessionsView()
    session = {"session_id": "s", "updated_at": "2026-01-01T10:00:00Z", "agent_name": None, "session_name": "Mine"}

    def lines(kind: str, head: int, state: str) -> list[str]:
        data = {"session": {**session, "head": head, "state": state}}
        return list(view.lines(RoomFrame(kind, data, "1"), 80))

    assert len(lines("session_created", 1, "idle")) == 1
    assert lines("session_updated", 2, "idle") == []
    assert "running" in lines("session_updated", 3, "running")[0]
    assert lines("session_updated", 2, "idle") == []
