"""The description of the API says what the API does: no route, field or refusal is missing, and none is made up."""

import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast, is_typeddict

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from shared.api.description.openapi import VERSION, document
from shared.api.description.schemas import event_types, type_name
from shared.api.shapes import bodies, project_bodies, project_views, receipts, views
from shared.api.shapes.views import PRIVATE_FIELDS
from shared.domain import errors
from shared.domain.events import (
    SessionUpdated,
)
from tests.http.api_client import ROOT, Api, Host, new_id, ok, running_host
from tests.http.sse_client import JSON

_HERE = Path(__file__).parent
_APP_ROUTES = """
import json
from pathlib import Path
from local.host.index import index_app, load
routes = index_app(load(Path(".")), "").routes
print(json.dumps([[method, "/" + route.template] for route in routes for method in route.methods]))
"""
# What no client sees: the service's own decisions, and the ends of turns, whose codes are in messages.
_INNER = {errors.SequenceTakenError, errors.RevisionTakenError, errors.ModelError}


def _operations() -> Iterator[tuple[str, str, JSON]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _fields(name: str) -> set[str]:
    return set(document()["components"]["schemas"][name]["properties"])


def _types_of(module: ModuleType) -> list[type[Any]]:
    """The models and typed dictionaries that a module defines."""
    found = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__]
    return [kind for kind in found if is_typeddict(kind) or issubclass(kind, BaseModel)]


def test_the_document_is_valid() -> None:
    validate(cast("Any", document()))


def test_it_has_every_route_and_method_of_the_app_and_no_other() -> None:
    ran = subprocess.run([sys.executable, "-c", _APP_ROUTES], cwd=ROOT, capture_output=True, text=True, check=True)

    assert {(method, path) for method, path, _ in _operations()} == {tuple(each) for each in json.loads(ran.stdout)}


def test_every_operation_says_what_it_does_and_takes_the_parameters_of_its_path() -> None:
    for method, path, operation in _operations():
        in_path = {each["name"] for each in operation["parameters"] if each.get("in") == "path"}

        assert operation["summary"].endswith((".", ":")), (method, path)
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert any(status.startswith(("2", "3")) for status in operation["responses"])


def test_no_name_is_given_to_two_operations_or_to_two_parameters_of_one() -> None:
    ids = [operation["operationId"] for _, _, operation in _operations()]
    assert len(ids) == len(set(ids))
    for _, _, operation in _operations():
        names = [(each["in"], each["name"]) for each in operation["parameters"] if "in" in each]
        assert len(names) == len(set(names))


def test_every_field_of_every_body_view_and_receipt_is_there() -> None:
    for module in (bodies, views, receipts, project_bodies, project_views):
        for kind in _types_of(module):
            if kind in {bodies.Body, bodies.OutsideEvents}:  # the one has no fields, the other is a list on the wire
                continue
            if kind.__name__.startswith("_"):  # what others have in common
                continue
            fields = set(kind.model_fields if issubclass(kind, BaseModel) else kind.__annotations__)

            assert _fields(kind.__name__) >= fields, kind


def test_every_type_of_event_is_there_with_the_fields_that_clients_see() -> None:
    listed = document()["components"]["schemas"]["Event"]["properties"]["data"]["anyOf"]
    for kind in event_types():
        fields: set[str] = set() if kind is SessionUpdated else set(kind.model_fields) - PRIVATE_FIELDS

        assert _fields(kind.__name__) == fields | {"session_id", "turn_id", "message_id"} | (
            {"text"} if type_name(kind) == "user_message" else set()
        )
        assert {"$ref": f"#/components/schemas/{kind.__name__}"} in listed


def test_every_refusal_is_told_where_it_can_happen() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.TurnlogError)]
    codes = {kind.code for kind in kinds if not kind.__subclasses__() and kind not in _INNER}
    told = " ".join(
        response["description"] for _, _, operation in _operations() for response in operation["responses"].values()
    )

    assert codes - set(re.findall(r"`(\w+)`", told)) == set()


def test_it_carries_the_projects_version() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.anyio
async def test_it_is_served_and_not_sent_again_to_who_has_it(api: Api) -> None:
    served = await api.http.get("/api/openapi.json")
    again = await api.http.get("/api/openapi.json", headers={"if-none-match": served.headers["etag"]})

    assert ok(served) == json.loads(json.dumps(document()))
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.anyio
async def test_the_page_finds_every_file_it_names_here_and_may_keep_them(api: Api) -> None:
    page = await api.http.get("/api/docs")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    files = [link for link in links if not link.startswith("data:")]

    assert len(files) == 4
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    for link in files:
        assert link.startswith("/api/")
        file = await api.http.get(link)
        assert file.status_code == 200
        assert ("immutable" in file.headers["cache-control"]) == ("?v=" in link)
    assert (await api.http.get("/api/docs/other.js")).status_code == 404


@pytest.mark.anyio
async def test_what_is_answered_holds_no_field_that_is_not_described(api: Api) -> None:
    session_id = new_id()
    await api.new_session(session_id=session_id)
    message = await api.say(session_id, 'call calculate {"expression": "6*7"}')
    call_id = message["tool_calls"][0]["id"]
    events = await api.events(session_id)

    for name, path in {
        "SessionPage": "/sessions",
        "SessionView": f"/sessions/{session_id}?include=event_log",
        "SessionStatus": f"/sessions/{session_id}/status",
        "SessionResult": f"/sessions/{session_id}/result",
        "EventPage": f"/sessions/{session_id}/events",
        "MessageView": f"/messages/{message['message_id']}",
        "FullResponseView": f"/messages/{message['message_id']}/full",
        "ToolCallResult": f"/sessions/{session_id}/tool_calls/{call_id}",
        "Readiness": "/ready",
    }.items():
        assert ok(await api.http.get(path)).keys() <= _fields(name), path
    components = {type_name(kind): kind.__name__ for kind in event_types()}
    for event in events:
        assert event.keys() == _fields("Event")
        assert event["data"].keys() <= _fields(components[event["type"]]), event["type"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_that_schemathesis_sends_is_answered_otherwise_than_described(tmp_path: Path) -> None:
    settings = {"STREAM_MAX_SECONDS": "1", "MESSAGE_WAIT_SECONDS": "1", "MODEL": "fake-5-0"}
    with running_host(tmp_path, settings) as host:
        ran = _explored(host, tmp_path)

    assert ran.returncode == 0, ran.stdout[-20_000:]


def _explored(host: Host, work_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", _HERE / "schemathesis.toml", "run"]
    limits = ["--max-examples", "20", "--generation-deterministic", "--request-timeout", "30", "--no-color"]
    return subprocess.run(
        [*command, f"{host.url}/api/openapi.json", *limits],
        cwd=work_dir,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.http.schemathesis_hooks", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
