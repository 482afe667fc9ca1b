"""What a session promises, checked from outside once nothing runs: its log, its documents, the model's requests."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import cast

from tests.faults.api_client import Client, PostedMessage
from tests.faults.readers import Reader, Seen, shown
from tests.http.api_client import ok
from tests.http.sse_client import JSON

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass
class Turn:
    """A turn according to the log."""

    turn_id: str
    message_id: str
    events: list[JSON] = field(default_factory=list[JSON])

    def of(self, kind: str) -> list[JSON]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def end(self) -> JSON:
        return self.events[-1]["data"]

    @property
    def is_cancelled(self) -> bool:
        return any(event["data"]["status"] == "cancelling" for event in self.of("status"))

    @property
    def completions(self) -> dict[int, JSON]:
        """The `message.complete` of each step."""
        return {event["data"]["step"]: event["data"] for event in self.of("message.complete")}

    @property
    def progress(self) -> list[JSON]:
        """The events after which something else begins: the start, and each step or call that was completed."""
        return [
            event
            for event in self.events
            if event["type"] in {"run.start", "message.complete", "tool_call.complete"}
            and not event["data"].get("partial")
            and event["data"].get("status") != "cancelled"
        ]

    def attempts(self) -> dict[tuple[str, int | str], list[float]]:
        """When each attempt at each model call and tool call began."""
        begun: dict[tuple[str, int | str], list[float]] = {}
        for kind, name in (("message.start", "step"), ("tool_call.start", "id")):
            for event in self.of(kind):
                begun.setdefault((kind, event["data"][name]), []).append(_timestamp(event))
        return begun


@dataclass
class Record:
    """All that can be read of a session."""

    session: JSON
    log: list[JSON]
    messages: list[JSON]
    turns: list[Turn]

    @property
    def seen(self) -> list[Seen]:
        return [Seen(event["sequence"], event["type"], event["data"]) for event in self.log]

    def turn(self, message_id: str | None) -> Turn:
        return next(turn for turn in self.turns if turn.message_id == message_id)

    def message(self, message_id: str | None) -> JSON:
        return next(message for message in self.messages if message["message_id"] == message_id)


async def record_of(client: Client, session_id: str) -> Record:
    """Wait until nothing runs, then read everything."""
    session = await client.wait_until_idle(session_id)
    log = await client.envelopes(session_id)
    turns: dict[str, Turn] = {}
    for event in log:
        if event["turn_id"]:
            turn = turns.setdefault(event["turn_id"], Turn(event["turn_id"], event["message_id"]))
            turn.events.append(event)
    return Record(session, log, await client.messages(session_id), list(turns.values()))


async def check(client: Client, session_id: str, readers: Iterable[Reader] = ()) -> Record:
    """Check that a session keeps every promise in the log, in the documents, and for its readers."""
    record = await record_of(client, session_id)
    assert [event["sequence"] for event in record.log] == list(range(1, record.session["head"] + 1))
    for turn in record.turns:
        _check_turn(turn, client.host.kill_times)
    _check_session(record)
    await _check_messages(client, record)
    _check_ledger(client, record, session_id)
    await _check_model_requests(client, record)
    for reader in readers:
        await reader.wait_for_head(record.session["head"])
        assert reader.seen == record.seen
    return record


def _check_turn(turn: Turn, kill_times: Sequence[float]) -> None:
    kinds = [event["type"] for event in turn.events]
    once = Counter(kinds)
    assert (once["user_message"], once["run.start"], once["run.complete"]) == (1, 1, 1), kinds
    assert kinds[-1] == "run.complete", kinds
    assert {event["message_id"] for event in turn.events} == {turn.message_id}
    _check_ending(turn, kill_times)
    _check_attempts(turn, kill_times)
    _check_text(turn)
    called = [event["data"]["id"] for event in turn.of("tool_call.complete")]
    assert len(called) == len(set(called))


def _check_ending(turn: Turn, kill_times: Sequence[float]) -> None:
    """Cancelled if it was asked to stop; failed only after six kills in the same step; otherwise completed."""
    if turn.is_cancelled:
        assert turn.end["status"] == "cancelled", turn.events
    elif turn.end["status"] == "failed":
        assert turn.end["error"]["code"] == "attempt_poisoned", turn.end
        # If the last kill came after the step was recorded and before its reply, `progress` has the failed step too.
        begun, ended = _timestamp(turn.progress[-2:][0]), _timestamp(turn.events[-1])
        assert sum(begun < kill < ended for kill in kill_times) >= 6, (turn.events, kill_times)
        assert any(_timestamp(turn.progress[-1]) < kill < ended for kill in kill_times), (turn.events, kill_times)
    else:
        assert turn.end["status"] == "completed", turn.end


def _check_attempts(turn: Turn, kill_times: Sequence[float]) -> None:
    """A step completes once, and nothing begins again unless the server was killed in between."""
    steps = [event["data"]["step"] for event in turn.of("message.complete")]
    assert steps == sorted(set(steps))
    for what, moments in turn.attempts().items():
        for first, second in pairwise(moments):
            assert any(first < kill < second for kill in kill_times), f"{what} began again without a kill"


def _check_text(turn: Turn) -> None:
    """A reader that clears a step at its `message.start` shows the text of its `message.complete`."""
    steps = shown(Seen(event["sequence"], event["type"], event["data"]) for event in turn.events)
    for step, complete in turn.completions.items():
        assert not complete["truncated"]
        assert steps[turn.message_id, step] == complete["text"]
    for event in turn.of("message.delta"):
        starts = [each["data"] for each in turn.of("message.start") if each["sequence"] < event["sequence"]]
        newest = starts[-1]["step"], starts[-1]["attempt"]
        assert (event["data"]["step"], event["data"]["attempt"]) == newest, "an earlier attempt continued to write"


def _check_session(record: Record) -> None:
    session, ends = record.session, [event["data"] for event in record.log if event["type"] == "run.complete"]
    assert (session["active_turn"], session["queued"], session["state"]) == (None, 0, "idle")
    assert session["status"] == ("finished" if ends else "running")
    assert session["usage"] == _sum(record.log)
    if ends:
        ids = {"session_id", "turn_id", "message_id"}
        assert session["run_meta"] == {name: value for name, value in ends[-1].items() if name not in ids}
        completions = [event["data"] for event in record.log if event["type"] == "message.complete"]
        assert session["diagnosis"] == (completions[-1]["text"] if completions else None)


async def _check_messages(client: Client, record: Record) -> None:
    assert Counter(message["message_id"] for message in record.messages) == Counter(
        turn.message_id for turn in record.turns
    )
    for message in record.messages:
        turn = record.turn(message["message_id"])
        (entered,) = turn.of("user_message")
        assert (message["content"], message["sequence"]) == (entered["data"]["content"], entered["sequence"])
        assert message["status"] == turn.end["status"]
        assert message["error"] == turn.end["error"]
        assert message["usage"] == turn.end["usage"] == _sum(turn.events)
        texts = [complete["text"] for complete in turn.completions.values()]
        assert message["answer"] == next((text for text in reversed(texts) if text), None)
        await _check_full(client, message, texts)


async def _check_full(client: Client, message: JSON, texts: Sequence[str]) -> None:
    full = await client.get(f"/messages/{message['message_id']}/full")
    written = [response["choices"][0]["message"] for response in full["responses"]]
    assert [each["content"] or "" for each in written] == list(texts)
    assert (full["status"], full["usage"]) == (message["status"], message["usage"])
    assert full["response"] == (full["responses"][-1] if full["responses"] else None)


def _check_ledger(client: Client, record: Record, session_id: str) -> None:
    """Nothing that was acknowledged is lost, nothing was done twice, and nothing else was done."""
    for posted in _posted(client, session_id):
        created = [message for message in record.messages if message["content"] == posted.body["content"]]
        assert len(created) <= 1, f"posted once, created twice: {posted}"
        if posted.key is not None or posted.message_id is not None:
            assert [message["message_id"] for message in created] == [posted.message_id], posted
    contents = {posted.body["content"] for posted in _posted(client, session_id)}
    assert {message["content"] for message in record.messages} <= contents
    for turn in record.turns:
        assert turn.turn_id not in client.ledger.cancelled or turn.end["status"] == "cancelled"
    notes = {event["sequence"]: event["data"]["note"] for event in record.log if event["type"] == "note"}
    assert notes == {sequence: text for owner, sequence, text in client.ledger.appended if owner == session_id}


async def _check_model_requests(client: Client, record: Record) -> None:
    """Each request to the model is an attempt in the log, so only interrupted calls were repeated."""
    stats = ok(await client.http.get(client.host.model_url.removesuffix("/v1") + "/stats"))["models"]
    for message in record.messages:
        turn, counts = record.turn(message["message_id"]), cast("JSON", stats.get(message["model"], {}))
        begun = len(turn.of("message.start"))
        answered = sum(not complete["partial"] for complete in turn.completions.values())
        assert answered <= counts.get("requests", 0) <= begun, (turn.events, counts)
        assert counts.get("active", 0) == 0


def _posted(client: Client, session_id: str) -> list[PostedMessage]:
    return [posted for posted in client.ledger.posted if posted.session_id == session_id]


def _sum(events: Iterable[JSON]) -> JSON:
    used = [event["data"] for event in events if event["type"] == "token_usage"]
    return {name: sum(each[name] for each in used) for name in _COUNTS}


def _timestamp(event: JSON) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()
