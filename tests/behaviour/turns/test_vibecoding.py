"""The VibeCoder's patches: each is applied once, even after races and crashes, and recorded with its turn."""

import asyncio
import json
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.behaviour.conftest import Clock
from tests.behaviour.factories import (
    LOST_STARTS,
    activity_input,
    append_events,
    cancel_turn,
    create_session,
    end_turn,
    load_events,
    load_message,
    load_types,
    outcome_of,
    post_message,
)
from tests.domain.factories import OWNER, TRACE
from turnlog.agents.context import ToolContext
from turnlog.domain.errors import ProjectNotFoundError
from turnlog.domain.events import MessageComplete, MessageStart, ToolCallComplete, ToolCallStart, VibecodeResponse
from turnlog.domain.ids import MessageId, PublicId, new_project_id, new_writer_id
from turnlog.domain.patch import InvalidPatchError, Operation
from turnlog.domain.project import Project
from turnlog.domain.stored_documents import Message, Step, ToolResult
from turnlog.domain.values import Failure, ToolCall
from turnlog.orchestrations.activities import call_model, run_tool
from turnlog.orchestrations.contracts import Reply
from turnlog.ports import ProjectStore
from turnlog.services.turns.answers import step_documents
from turnlog.services.turns.endings import EndRequest
from turnlog.services.turns.submit import NewMessage
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio

CALL = "call_a"


@pytest.fixture
async def project(app: Services) -> Project:
    now = app.clock.now()
    project = Project(
        id=new_project_id(now),
        owner=OWNER,
        name="A project",
        document={"nodes": {"first": {"name": "First", "instructions": "Wait."}}},
        changed_by=new_writer_id(),
        created_at=now,
        updated_at=now,
    )
    await app.project_store.create(project)
    return project


async def now(app: Services, project: Project) -> Project:
    found = await app.project_store.get(project.id)
    assert found is not None
    return found


def adding(name: str) -> list[Operation]:
    return [Operation(op="add", path=f"/nodes/{name}", value={"name": name, "instructions": "Help."})]


def proposal(*operations: dict[str, Any]) -> str:
    return json.dumps({"patch": operations})


ADDED = {"op": "add", "path": "/nodes/new", "value": {"name": "New", "instructions": "Help."}}
BROKEN = {"op": "remove", "path": "/nodes/none"}
GOOD = proposal(ADDED)
BAD = proposal(BROKEN)


def call(app: Services, project: Project, number: int = 1, **fields: Any) -> ToolContext:
    message_id = fields.pop("message_id", MessageId(f"msg_{number}"))
    own = {
        "owner": OWNER,
        "attempt": 1,
        "project_id": project.id,
        "call_id": f"call_{number}",
        "projects": app.project_patches,
    }
    details: dict[str, Any] = {**own, **fields}
    return ToolContext(session_id=PublicId("ses_1"), message_id=message_id, **details)


async def coding(app: Services, project: Project, *steps: tuple[str, ...], node_id: str | None = None) -> Message:
    """A turn whose last step has called propose_patch with these arguments. The calls of earlier steps were run."""
    session = await create_session(app, project_id=project.id, node_id=node_id, agent_name="vibecoder")
    message = await post_message(app, session)
    for number, arguments in enumerate(steps, start=1):
        calls = tuple(
            ToolCall(id=f"call_{number}{'abc'[index]}", name="propose_patch", arguments=each)
            for index, each in enumerate(arguments)
        )
        documents = step_documents(message, number, Step(text="", tool_calls=calls))
        answer = MessageComplete(step=number, attempt=1, text="")
        await append_events(app, session, MessageStart(step=number, attempt=1), answer, documents=documents)
        if number < len(steps):
            for each in calls:
                await run_tool(activity_input(message, step=number, call_id=each.id))
    return await load_message(app, message)


async def run(message: Message, call_id: str, step: int = 1, **details: Any) -> str:
    return outcome_of(await run_tool(activity_input(message, step=step, call_id=call_id, **details)))


async def end(
    app: Services,
    message: Message,
    status: Literal["completed", "failed"] = "completed",
    failure: Failure | None = None,
) -> VibecodeResponse | None:
    await end_turn(app, message, EndRequest(status, failure))
    responses = [event.data for event in await load_events(app, message.session_id, "vibecode_response")]
    assert len(responses) <= 1
    if responses:
        assert (await load_types(app, message.session_id))[-2:] == ["vibecode_response", "run.complete"]
    return responses[0] if responses and isinstance(responses[0], VibecodeResponse) else None


async def test_patches_that_race_are_each_applied_once_and_counted(app: Services, project: Project) -> None:
    calls = [(call(app, project, number), adding(f"node{number}")) for number in range(1, 21)]

    revisions = await asyncio.gather(*(app.project_patches.apply(by, patch) for by, patch in [*calls, *calls]))

    after = await now(app, project)
    assert sorted(revisions[:20]) == list(range(2, 22))
    assert revisions[:20] == revisions[20:]
    assert after.revision == 21
    assert set(after.document["nodes"]) == {"first", *(f"node{number}" for number in range(1, 21))}
    assert sorted(applied.revision for applied in after.applied) == sorted(revisions[:20])


async def test_of_racing_patches_that_test_for_the_same_text_one_is_applied(app: Services, project: Project) -> None:
    def swap(number: int) -> list[Operation]:
        path = "/nodes/first/instructions"
        was, becomes = Operation(op="test", path=path, value="Wait."), Operation(op="replace", path=path, value="Go.")
        return [was, becomes, *adding(f"node{number}")]

    results = await asyncio.gather(
        *(app.project_patches.apply(call(app, project, number), swap(number)) for number in range(10)),
        return_exceptions=True,
    )

    assert [result for result in results if not isinstance(result, InvalidPatchError)] == [2]
    assert len((await now(app, project)).document["nodes"]) == 2


async def test_a_turn_applies_one_patch(app: Services, project: Project) -> None:
    await app.project_patches.apply(call(app, project), adding("one"))

    with pytest.raises(InvalidPatchError, match="already applied a patch"):
        await app.project_patches.apply(call(app, project, call_id="call_other"), adding("two"))
    assert (await now(app, project)).revision == 2


async def test_a_repeated_patch_is_recognized_after_many_others(app: Services, project: Project, clock: Clock) -> None:
    first = await app.project_patches.apply(call(app, project), adding("first"))
    for number in range(2, 202):
        await app.project_patches.apply(call(app, project, number), adding(f"node{number}"))
    clock.move(timedelta(minutes=55))

    assert await app.project_patches.apply(call(app, project), adding("first")) == first
    assert (await now(app, project)).revision == 202


async def test_a_patch_is_forgotten_when_it_cannot_run_again(app: Services, project: Project, clock: Clock) -> None:
    for number in range(5):
        await app.project_patches.apply(call(app, project, number), adding(f"node{number}"))
    clock.move(timedelta(hours=1))

    await app.project_patches.apply(call(app, project, 6), adding("last"))

    assert [applied.call_id for applied in (await now(app, project)).applied] == ["call_6"]


@pytest.mark.parametrize("fields", [{"owner": "somebody"}, {"project_id": "prj_none"}, {"project_id": None}])
async def test_a_patch_needs_a_project_of_its_owner(app: Services, project: Project, fields: dict[str, Any]) -> None:
    with pytest.raises(ProjectNotFoundError):
        await app.project_patches.apply(call(app, project, **fields), adding("one"))
    assert (await now(app, project)).revision == 1


async def test_an_accepted_patch_is_recorded_once_with_its_message(app: Services, project: Project) -> None:
    message = await coding(app, project, (GOOD,))

    assert [await run(message, "call_1a") for _ in range(3)] == ["done"] * 3

    assert (await now(app, project)).document["nodes"]["new"]["name"] == "New"
    recorded = await load_message(app, message)
    assert (recorded.patch, recorded.project_revision) == ([ADDED], 2)
    response = await end(app, message)
    assert response is not None
    assert (response.patch, response.project_revision) == ([ADDED], 2)
    assert (await load_message(app, message)).patch == [ADDED]


async def test_a_patch_of_a_killed_run_is_recorded_by_the_next_attempt(app: Services, project: Project) -> None:
    message = await coding(app, project, (GOOD,))
    start = ToolCallStart(id="call_1a", step=1, attempt=1, name="propose_patch", arguments=GOOD)
    await append_events(app, message.session_id, start)
    patch = [Operation.model_validate(ADDED)]
    await app.project_patches.apply(call(app, project, message_id=message.message_id, call_id="call_1a"), patch)

    assert await run(message, "call_1a", attempt=2) == "done"

    assert (await now(app, project)).revision == 2
    (complete,) = await load_events(app, message.session_id, "tool_call.complete")
    assert isinstance(complete.data, ToolCallComplete)
    assert (complete.data.status, complete.data.response) == ("completed", {"project_revision": 2})
    assert (await load_message(app, message)).patch == [ADDED]


async def test_a_cancelled_turn_records_a_patch_that_was_applied(app: Services, project: Project) -> None:
    message = await coding(app, project, (GOOD,))
    patch = [Operation.model_validate(ADDED)]
    await app.project_patches.apply(call(app, project, message_id=message.message_id, call_id="call_1a"), patch)
    await cancel_turn(app, message)

    response = await end(app, message)

    assert response is not None
    assert (response.patch, response.project_revision) == ([ADDED], 2)
    ended = await load_message(app, message)
    assert (ended.status, ended.patch, ended.project_revision) == ("cancelled", [ADDED], 2)
    result = await app.log.get(ToolResult, message.session_id, "call_1a")
    assert result is not None
    assert (result.outcome.status, result.outcome.response) == ("completed", {"project_revision": 2})


class SlowWrites:
    """Holds each write of a patch to a project until the test lets it through."""

    def __init__(self, store: ProjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = asyncio.Event()
        self.released = asyncio.Event()
        self._replace = store.replace
        monkeypatch.setattr(store, "replace", self.replace)

    async def replace(self, project: Project) -> None:
        if project.applied:
            self.begun.set()
            await self.released.wait()
        await self._replace(project)


async def test_a_cancel_waits_for_a_patch_that_is_being_written(
    app: Services, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await coding(app, project, (GOOD,))
    writes = SlowWrites(app.project_store, monkeypatch)
    running = asyncio.create_task(run(message, "call_1a"))
    await writes.begun.wait()
    await cancel_turn(app, message)
    await asyncio.sleep(0.1)  # time in which a call that does not wait would be recorded

    writes.released.set()
    assert await running == "cancelled"

    response = await end(app, message)
    assert response is not None
    assert (response.patch, response.project_revision) == ([ADDED], 2)
    assert (await now(app, project)).revision == 2


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_suspended_write_changes_nothing_after_its_turn_has_ended(
    app: Services, project: Project, monkeypatch: pytest.MonkeyPatch, *, is_cancelled: bool
) -> None:
    message = await coding(app, project, (GOOD,))
    start = ToolCallStart(id="call_1a", step=1, attempt=1, name="propose_patch", arguments=GOOD)
    await append_events(app, message.session_id, start)
    writes = SlowWrites(app.project_store, monkeypatch)
    context = call(app, project, message_id=message.message_id, call_id="call_1a")
    suspended = asyncio.create_task(app.project_patches.apply(context, [Operation.model_validate(ADDED)]))
    await writes.begun.wait()
    if is_cancelled:
        await cancel_turn(app, message)
    await end(app, message, "failed", Failure(code="turn_timeout", message="too late"))

    writes.released.set()
    with pytest.raises(InvalidPatchError, match="given up"):
        await suspended

    assert (await now(app, project)).document == project.document
    assert (await load_message(app, message)).patch is None


async def test_a_suspended_attempt_changes_nothing_after_the_next_one_was_answered(
    app: Services, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await coding(app, project, (BAD,))
    start = ToolCallStart(id="call_1a", step=1, attempt=1, name="propose_patch", arguments=BAD)
    await append_events(app, message.session_id, start)
    writes = SlowWrites(app.project_store, monkeypatch)
    context = call(app, project, message_id=message.message_id, call_id="call_1a")
    suspended = asyncio.create_task(app.project_patches.apply(context, [Operation.model_validate(ADDED)]))
    await writes.begun.wait()

    assert await run(message, "call_1a", attempt=2) == "done"
    writes.released.set()

    with pytest.raises(InvalidPatchError, match="given up"):
        await suspended
    assert (await now(app, project)).document == project.document


async def test_a_cancelled_turn_without_a_change_has_no_vibecode_response(app: Services, project: Project) -> None:
    message = await coding(app, project, (GOOD,))
    await cancel_turn(app, message)

    assert await run(message, "call_1a") == "cancelled"
    assert await end(app, message) is None
    assert (await now(app, project)).revision == 1


async def test_a_completed_turn_without_a_patch_has_null_and_the_revision(app: Services, project: Project) -> None:
    await app.project_patches.apply(call(app, project), adding("one"))
    message = await coding(app, project)

    response = await end(app, message)

    assert response is not None
    assert (response.patch, response.project_revision) == (None, 2)


async def test_a_turn_of_another_agent_has_no_vibecode_response(app: Services, project: Project) -> None:
    message = await post_message(app, await create_session(app, project_id=project.id), agent="assistant")

    assert await end(app, message) is None


@pytest.mark.parametrize("arguments", [BAD, proposal(), "{}", "no json", '{"patch": "x"}', proposal({"op": "add"})])
async def test_the_third_invalid_patch_fails_the_turn_in_every_run(
    app: Services, project: Project, arguments: str
) -> None:
    message = await coding(app, project, (BAD,), (arguments,), (arguments,))

    replies = [
        Reply[str].model_validate(await run_tool(activity_input(message, step=3, call_id="call_3a"))) for _ in range(2)
    ]

    assert [reply.outcome for reply in replies] == ["failed"] * 2
    assert replies[0] == replies[1]
    assert replies[0].failure is not None
    assert replies[0].failure.code == "invalid_patch"
    assert await end(app, message, "failed", replies[0].failure) is None
    assert (await now(app, project)).revision == 1


async def test_the_model_may_correct_two_invalid_patches(app: Services, project: Project) -> None:
    message = await coding(app, project, (BAD,), (BAD,), (GOOD,))

    assert await run(message, "call_3a", step=3) == "done"
    assert (await load_message(app, message)).patch == [ADDED]


async def test_of_several_patches_in_one_step_only_the_first_runs(app: Services, project: Project) -> None:
    message = await coding(app, project, (BAD, GOOD, GOOD), (GOOD, BAD, GOOD))

    outcomes = await asyncio.gather(*(run(message, f"call_2{each}", step=2) for each in "abc"))

    assert outcomes == ["done"] * 3
    assert (await now(app, project)).revision == 2
    states = {
        event.data.id: event.data.status
        for event in await load_events(app, message.session_id, "tool_call.complete")
        if isinstance(event.data, ToolCallComplete)
    }
    assert states == {f"call_{step}{each}": "failed" for step in "12" for each in "abc"} | {"call_2a": "completed"}


async def test_a_node_session_changes_only_its_node(app: Services, project: Project) -> None:
    own = proposal({"op": "replace", "path": "/nodes/first/instructions", "value": "Go."})
    message = await coding(app, project, (GOOD,), (own,), node_id="first")

    assert await run(message, "call_2a", step=2) == "done"

    assert (await now(app, project)).document["nodes"] == {"first": {"name": "First", "instructions": "Go."}}


@pytest.mark.usefixtures("model")
async def test_a_turn_in_a_session_without_a_project_fails(app: Services) -> None:
    message = await post_message(app, await create_session(app, project_id="prj_none"), agent="vibecoder")

    reply = Reply[str].model_validate(await call_model(activity_input(message)))

    assert reply.outcome == "failed"
    assert reply.failure is not None
    assert (reply.failure.code, reply.failure.retryable) == ("project_not_found", False)


@pytest.mark.usefixtures("model")
async def test_after_an_accepted_patch_the_model_has_to_answer_in_words(app: Services, project: Project) -> None:
    session = await create_session(app, project_id=project.id, agent_name="vibecoder")
    prompt = f"call propose_patch {GOOD} then call propose_patch {GOOD}"
    message = (await app.turns.submit(OWNER, session, NewMessage(prompt, TRACE), LOST_STARTS)).message
    first = Reply[str].model_validate(await call_model(activity_input(message)))
    await run_tool(activity_input(message, call_id=first.call_ids[0]))

    second = Reply[str].model_validate(await call_model(activity_input(message, step=2)))

    assert (first.outcome, second.outcome) == ("tools", "done")
    assert (await load_message(app, message)).patch == [ADDED]
