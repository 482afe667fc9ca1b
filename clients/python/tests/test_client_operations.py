"""Both clients on a real server: copies of sessions, events of other producers, projects, and what was used."""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client_server import Server
from turnlog_client import (
    AsyncClient,
    AsyncSession,
    Client,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    Producer,
    Session,
)

DEPLOYED = {"event_type": "deployment", "outcome": "succeeded"}
NOTE = {"event_type": "note", "text": "Ω"}
TYPESCRIPT = Path(__file__).parents[2] / "typescript/src"
ONLY_HERE = {"client": {"close", "room"}, "session": {"export", "stream"}}


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


def test_a_fork_has_the_same_past_and_continues_by_itself(client: Client) -> None:
    session = client.create_session()
    first = session.send("First", wait=60)
    session.send("Second", wait=60)
    end_of_first = next(each for each in session.history(types=["run.complete"]).events).sequence

    whole = session.fork(session_name="Copy", idempotency_key="fork-1")
    repeated = session.fork(session_name="Copy", idempotency_key="fork-1")
    part = session.fork(at_sequence=end_of_first)
    part.send("Third", wait=60)

    assert repeated.id == whole.id != session.id
    assert whole.info()["session_name"] == "Copy"
    assert whole.info()["forked_from"] == {"session_id": session.id, "sequence": session.info()["head"]}
    assert [each["content"] for each in whole.messages()] == ["First", "Second"]
    assert [each["content"] for each in part.messages()] == ["First", "Third"]
    assert part.messages()[0]["answer"] == first["answer"]
    assert len(session.messages()) == 2


def test_events_of_another_producer_are_appended_together_and_once_for_each_key(client: Client) -> None:
    session = client.create_session()

    receipt = session.append_events([DEPLOYED, NOTE], idempotency_key="deploy-7")
    repeated = session.append_events([DEPLOYED, NOTE], idempotency_key="deploy-7")
    with pytest.raises(InvalidError) as reused:
        session.append_events([NOTE], idempotency_key="deploy-7")
    with pytest.raises(InvalidError) as refused:
        session.append_events([DEPLOYED, {"event_type": "run.start"}])

    events = session.history(types=["deployment", "note"]).events
    assert receipt["sequences"] == repeated["sequences"] == [each.sequence for each in events]
    assert [(each.type, each.is_known) for each in events] == [("deployment", False), ("note", False)]
    assert (events[0].data["outcome"], events[1].data["text"]) == ("succeeded", "Ω")
    assert reused.value.code == "idempotency_key_reused"
    assert "/1/event_type" in refused.value.errors[0].pointer


def test_the_numbers_of_a_producer_repel_repeats_gaps_and_older_epochs(client: Client) -> None:
    session = client.create_session()

    first = session.append_events([DEPLOYED], producer=Producer("ci", epoch=1, seq=0))
    repeated = session.append_events([DEPLOYED], producer=Producer("ci", epoch=1, seq=0))
    with pytest.raises(ConflictError) as gap:
        session.append_events([DEPLOYED], producer=Producer("ci", epoch=1, seq=2))
    session.append_events([DEPLOYED], producer=Producer("ci", epoch=2, seq=0))
    with pytest.raises(ForbiddenError) as fenced:
        session.append_events([DEPLOYED], producer=Producer("ci", epoch=1, seq=1))
    with pytest.raises(InvalidError):
        session.append_events([DEPLOYED], producer=Producer("ci", epoch=2, seq=1), idempotency_key="both")

    assert repeated["sequences"] == first["sequences"]
    assert (gap.value.code, fenced.value.code) == ("producer_gap", "producer_fenced")
    assert len(session.history(types=["deployment"]).events) == 2


def test_the_session_of_a_node_is_opened_or_found_again(client: Client) -> None:
    project = client.create_project("Stories", document={"nodes": {"teller": {"name": "Teller"}}})

    created = client.open_session(project["id"], node_id="teller", session_name="Ours")
    found = client.open_session(project["id"], node_id="teller", session_name="Another")
    of_project = client.open_session(project["id"])
    created.update(archived=True)
    after = client.open_session(project["id"], node_id="teller")

    assert found.id == created.id
    assert (found.info()["session_name"], found.info()["node_id"]) == ("Ours", "teller")
    assert len({created.id, of_project.id, after.id}) == 3
    with pytest.raises(NotFoundError, match="project"):
        client.open_session("missing")


def test_a_project_is_created_once_for_each_key_listed_and_changed_by_who_knows_its_revision(client: Client) -> None:
    project = client.create_project("Plans", budget={"total_tokens": 900}, idempotency_key="plans-1")
    same = client.create_project("Plans", budget={"total_tokens": 900}, idempotency_key="plans-1")

    changed = client.update_project(project["id"], if_revision=project["revision"], name="Our plans", budget=None)
    with pytest.raises(ConflictError) as outdated:
        client.update_project(project["id"], if_revision=project["revision"], name="My plans")

    assert same["id"] == project["id"]
    assert (changed["name"], changed["budget"]) == ("Our plans", None)
    assert outdated.value.code == "precondition_failed"
    assert client.get_project(project["id"])["name"] == "Our plans"
    assert project["id"] in {each["id"] for each in client.list_projects(limit=200)["projects"]}


def test_a_deletion_of_a_project_reports_how_far_it_is(client: Client) -> None:
    project = client.create_project("Short")
    session = client.open_session(project["id"])

    rest = client.delete_project(project["id"])

    assert rest is None
    deletion = client.get_deletion(project["id"])
    assert (deletion["status"], deletion["deleted"]) == ("deleted", 1)
    with pytest.raises(NotFoundError):
        session.info()
    with pytest.raises(NotFoundError):
        client.delete_project(project["id"])


def test_usage_is_read_for_a_session_and_for_all_of_a_project(client: Client) -> None:
    project = client.create_project("Counted")
    session = client.create_session(project_id=project["id"], agent_name="assistant", budget={"total_tokens": 100_000})
    client.create_session(project_id=project["id"], agent_name="assistant").send("Hi", wait=60)
    session.send("Hello", wait=60)

    of_session, of_project = session.usage(), client.get_project_usage(project["id"])

    assert of_session["usage"] == session.info()["usage"]
    assert of_session["usage"]["total_tokens"] > 0
    assert [(row["agent"], row["calls"]) for row in of_session["rows"]] == [("assistant", 1)]
    budget = of_session["budget"]
    assert budget is not None
    assert budget["left_tokens"] == 100_000 - of_session["usage"]["total_tokens"]
    assert (of_project["sessions"], of_project["rows"][0]["calls"]) == (2, 2)


def test_a_response_that_is_too_large_for_an_event_is_read_whole(client: Client) -> None:
    names = [f"{number:04}".rjust(90, "n") for number in range(800)]
    session = client.create_session(agent_name="raffle")
    session.send(f"call draw_lots {_names(names)}")
    conversation = None
    for conversation in session.watch():
        for action in conversation.actions:
            session.approve(action.call_id)

    assert conversation is not None
    tool = conversation.turns[0].steps[0].tools[0]
    whole = session.tool_call(tool.id)

    assert set(tool.response) == {"href"}
    assert sorted(whole["response"]) == names
    assert (whole["name"], whole["status"], whole["truncated"]) == ("draw_lots", "completed", False)


def test_a_message_is_read_by_its_id_and_sessions_are_found_by_their_metadata(client: Client) -> None:
    session = client.create_session(metadata={"ticket.id": "T-1000", "team": "a"})
    client.create_session(metadata={"ticket.id": "T-1001", "team": "a"})
    sent = session.send("Hello", wait=60)

    found = client.list_sessions(metadata={"ticket.id": "T-1000", "team": "a"})

    assert client.get_message(sent["message_id"])["answer"] == sent["answer"]
    assert [each["session_id"] for each in found["sessions"]] == [session.id]


@pytest.mark.anyio
async def test_the_async_client_makes_these_calls_as_well(server: Server) -> None:
    async with AsyncClient(server.url) as client:
        project = await client.create_project("Async")
        session = await client.open_session(project["id"], agent_name="assistant")
        sent = await session.send("Hello", wait=60)
        receipt = await session.append_events([DEPLOYED, NOTE], producer=Producer("ci", 0, 0))
        fork = await session.fork()
        changed = await client.update_project(project["id"], name="Renamed", if_revision=project["revision"])

        assert (await client.open_session(project["id"])).id == session.id
        assert (await client.get_message(sent["message_id"]))["status"] == "completed"
        assert len(receipt["sequences"]) == 2
        assert [each["content"] for each in await fork.messages()] == ["Hello"]
        assert (await session.usage())["usage"] == (await client.get_project_usage(project["id"]))["usage"]
        assert changed["id"] in {each["id"] for each in (await client.list_projects(limit=200))["projects"]}
        with pytest.raises(NotFoundError):
            await session.tool_call("missing")
        assert await client.delete_project(project["id"]) is None
        assert (await client.get_deletion(project["id"]))["status"] == "deleted"


@pytest.mark.parametrize(("sync", "asynchronous"), [(Client, AsyncClient), (Session, AsyncSession)])
def test_both_clients_have_the_same_calls_with_the_same_parameters(sync: type, asynchronous: type) -> None:
    ours, theirs = _calls(sync), _calls(asynchronous)

    assert ours.keys() == theirs.keys()
    for name, call in ours.items():
        assert _parameters(call) == _parameters(theirs[name]), name


@pytest.mark.parametrize(("ours", "file"), [(Client, "client"), (Session, "session")])
def test_the_typescript_client_has_the_same_calls_under_the_same_names(ours: type, file: str) -> None:
    source = (TYPESCRIPT / f"{file}.ts").read_text("utf-8")

    theirs = re.findall(r"^  (?:async )?\*?([a-z]\w*)\(", source, re.MULTILINE)

    named_like_ours = {re.sub("[A-Z]", lambda letter: "_" + letter.group().lower(), name) for name in theirs}
    assert named_like_ours - {"constructor"} == _calls(ours).keys() - ONLY_HERE[file]


def _calls(of: type) -> dict[str, Callable[..., Any]]:
    return {name: call for name, call in vars(of).items() if inspect.isfunction(call) and not name.startswith("_")}


def _parameters(call: Callable[..., Any]) -> list[str]:
    return [str(each) for each in inspect.signature(call).parameters.values()]


def _names(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f'{{"names": [{quoted}], "count": {len(names)}}}'
