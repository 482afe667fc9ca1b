"""A neighbouring version: events and fields of a next release appear in the store while this one runs."""

import asyncio
from typing import Any, cast

from pydantic import BaseModel

from tests.simulation.world import World
from turnlog.domain.chunks import Draft
from turnlog.domain.events import Outside
from turnlog.domain.session import SessionState
from turnlog.services.log.writer import Decision, SessionWriter

PRESERVED = "the fields of a next release are kept"
_FIELD = "next_release"


async def write_as_next_release(world: World) -> None:
    """Write to the sessions as a process of the next release would, until cancelled."""
    while True:
        await asyncio.sleep(world.rng.uniform(2, 20))
        session = world.rng.choice(world.sessions)
        state = await world.truth.log.state(session)
        if state is None or state.deleted:
            continue
        writer = SessionWriter(world.truth.log, world.truth.clock, session)
        await writer.transact(_append_unknown)
        world.account.rewrite(session, as_next_release)
        world.rewritten.add(session)


async def _append_unknown(_: SessionState) -> Decision[None]:
    return Decision(None, [Draft(data=Outside(event_type="unknown"))])


def as_next_release(text: str) -> str:
    """Stored JSON as the next release would write it: with another field, and an event type that is not known."""
    if _FIELD in text:
        return text
    if text.startswith("{"):
        return f'{{"{_FIELD}":1,{text[1:]}'
    return text.replace('{"sequence":', f'{{"{_FIELD}":1,"sequence":').replace('"type":"outside"', '"type":"unknown"')


def known_part(world: World, session: str, value: BaseModel | None) -> Any:
    """What this release knows of `value`: without the field, the type of event and the bytes that the next one adds."""
    if value is None or session not in world.rewritten:
        return value
    return _without_field(value.model_dump(mode="json"))


def _without_field(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_field(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    if fields.get("type") == "unknown" or fields.get("event_type") == "unknown":
        return "an event of a next release"
    return {name: _without_field(each) for name, each in fields.items() if name not in {_FIELD, "size_bytes"}}


def check_neighbours(world: World) -> None:
    """Check that each state still has the field that the next release wrote."""
    for session in world.rewritten - world.ledger.deleted:
        texts = world.account.stored_states(session)
        if not all(_FIELD in text for text in texts):
            world.report(PRESERVED, f"{session} has lost it: {texts}")
