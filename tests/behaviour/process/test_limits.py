"""What one owner may use of a process: requests in a second, open streams, turns that run at once."""

from dataclasses import dataclass, field

import pytest

from tests.domain.factories import SESSION, TURN, fold_events, new_state
from turnlog.domain.errors import RateLimitedError
from turnlog.domain.events import RunComplete, RunStart, UserMessage
from turnlog.domain.ids import SessionId, TurnId
from turnlog.domain.limits import OwnerLimits
from turnlog.domain.session import SessionState
from turnlog.services.limits import Limits

pytestmark = pytest.mark.anyio


@dataclass
class Log:
    """The states of sessions, and how often one was read."""

    states: dict[SessionId, SessionState] = field(default_factory=dict[SessionId, SessionState])
    reads: int = 0

    async def outline(self, session_id: SessionId) -> SessionState | None:
        self.reads += 1
        return self.states.get(session_id)


def limits(log: Log | None = None, **of_owner: int) -> Limits:
    return Limits(OwnerLimits(**of_owner), log or Log(), lambda: clock[0])


clock = [0.0]


def send(limits: Limits, owner: str, count: int) -> int:
    """Send `count` requests at once; return how many are accepted."""
    accepted = 0
    for _ in range(count):
        try:
            limits.count_request(owner)
        except RateLimitedError:
            continue
        accepted += 1
    return accepted


def test_an_owner_may_send_so_many_requests_in_a_second() -> None:
    clock[0] = 0.0
    limited = limits(requests_per_second=10)

    assert send(limited, "me", 100) == 10
    assert send(limited, "somebody", 5) == 5
    clock[0] = 0.5
    assert send(limited, "me", 100) == 5
    clock[0] = 100.0
    assert send(limited, "me", 100) == 10


def test_without_a_limit_nothing_is_refused() -> None:
    assert send(limits(), "me", 10_000) == 10_000


def test_a_closed_stream_makes_room_once() -> None:
    limited = limits(streams=2)
    first, _ = limited.open_stream("me"), limited.open_stream("me")
    with pytest.raises(RateLimitedError):
        limited.open_stream("me")
    limited.open_stream("somebody")

    first()
    first()

    limited.open_stream("me")
    with pytest.raises(RateLimitedError):
        limited.open_stream("me")


async def start(limits: Limits, owner: str, session_id: SessionId = SESSION, turn_id: TurnId = TURN) -> None:
    with limits.new_turn(owner, session_id) as count:
        await count(turn_id)


async def test_a_turn_counts_until_it_has_ended() -> None:
    running = fold_events(new_state(), UserMessage(content="Hello"), RunStart(agent="assistant", model="m"))
    log = Log({SESSION: running})
    limited = limits(log, turns=1)
    await start(limited, "me")
    assert log.reads == 0

    with pytest.raises(RateLimitedError):
        await start(limited, "me", turn_id=TurnId("turn_next"))
    await start(limited, "somebody")
    log.states[SESSION] = fold_events(
        running, RunComplete(status="completed", steps=1, usage={}, duration_ms=1, model="m")
    )
    await start(limited, "me", turn_id=TurnId("turn_next"))


async def test_turns_of_sessions_that_are_gone_do_not_count() -> None:
    limited = limits(turns=1)
    await start(limited, "me", SessionId("gone"), TurnId("turn_gone"))

    await start(limited, "me")


async def test_a_turn_counts_before_it_is_in_the_log_and_a_second_try_replaces_the_first() -> None:
    limited = limits(turns=1)
    with limited.new_turn("me", SESSION) as count:
        await count(TURN)
        with pytest.raises(RateLimitedError):
            await start(limited, "me", SessionId("other"), TurnId("turn_other"))
        await count(TurnId("turn_again"))
        with pytest.raises(RateLimitedError):
            await start(limited, "me", SessionId("other"), TurnId("turn_other"))

    await start(limited, "me", SessionId("other"), TurnId("turn_other"))  # nothing was written
