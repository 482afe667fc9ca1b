"""The API description agrees with the API: it has every route, field and error, and nothing else."""

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, is_typeddict

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pydantic import BaseModel

import turnlog
from tests.http.api_client import ROOT, Api, Host, new_id, ok, running_host
from tests.http.process.routes import app_routes
from tests.http.sse_client import JSON
from turnlog.api import shapes
from turnlog.api.description.schemas import event_name, event_types, type_name
from turnlog.api.resources import document
from turnlog.api.shapes.common import Body
from turnlog.api.shapes.events import PRIVATE_FIELDS, OutsideEvents
from turnlog.api.shapes.push import Join, JoinAnswer, Refusal
from turnlog.domain import errors
from turnlog.domain.events import SessionUpdated

_HTTP = Path(__file__).parents[1]
# Clients never get these: the service handles them itself, or a message carries the code.
_INTERNAL_ERRORS = {errors.SequenceTakenError, errors.RevisionTakenError, errors.ModelError, errors.WebhookTimeoutError}
# Not shapes of their own: the base of all bodies, and a list that has no object on the wire.
# Sockets send and receive the last three, HTTP does not.
_NOT_DESCRIBED = {Body, OutsideEvents, Join, JoinAnswer, Refusal}


def _operations() -> Iterator[tuple[str, str, JSON]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _fields(name: str) -> set[str]:
    return set(document()["components"]["schemas"][name]["properties"])


def _shapes() -> Iterator[type[Any]]:
    """The models and typed dictionaries that the modules of `shapes` define."""
    for info in pkgutil.iter_modules(shapes.__path__):
        module = importlib.import_module(f"{shapes.__name__}.{info.name}")
        for name, kind in inspect.getmembers(module, inspect.isclass):
            is_shape = is_typeddict(kind) or issubclass(kind, BaseModel)
            if kind.__module__ == module.__name__ and is_shape and not name.startswith("_"):
                yield kind


def test_the_description_is_valid_openapi() -> None:
    validate(cast("Any", document()))


def test_it_has_every_route_and_method_of_the_app_and_no_others() -> None:
    assert {f"{method} {path}" for method, path, _ in _operations()} == app_routes()


def test_every_operation_has_a_summary_and_the_parameters_of_its_path() -> None:
    for method, path, operation in _operations():
        in_path = {each["name"] for each in operation["parameters"] if each.get("in") == "path"}

        assert operation["summary"].endswith((".", ":")), (method, path)
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert any(status.startswith(("2", "3")) for status in operation["responses"])


def test_names_of_operations_and_of_their_parameters_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in _operations()]
    assert len(ids) == len(set(ids))
    for _, _, operation in _operations():
        names = [(each["in"], each["name"]) for each in operation["parameters"] if "in" in each]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", [kind for kind in _shapes() if kind not in _NOT_DESCRIBED])
def test_every_field_of_every_shape_is_described(kind: type[Any]) -> None:
    fields = set(kind.model_fields if issubclass(kind, BaseModel) else kind.__annotations__)

    assert _fields(kind.__name__) >= fields


def test_every_event_type_is_described_with_the_fields_that_clients_see() -> None:
    schemas = document()["components"]["schemas"]
    for kind in event_types():
        fields: set[str] = set() if kind is SessionUpdated else set(kind.model_fields) - PRIVATE_FIELDS

        assert _fields(kind.__name__) == fields | {"session_id", "turn_id", "message_id"} | (
            {"text"} if type_name(kind) in {"user_message", "message.queued"} else set()
        )
        event = schemas[event_name(kind)]["properties"]
        assert event["type"]["enum"] == [type_name(kind)]
        assert event["data"] == {"$ref": f"#/components/schemas/{kind.__name__}"}


def test_the_type_of_an_event_names_its_schema() -> None:
    described = document()["components"]["schemas"]["ServiceEvent"]
    mapping = described["discriminator"]["mapping"]

    assert mapping == {type_name(kind): f"#/components/schemas/{event_name(kind)}" for kind in event_types()}
    assert [each["$ref"] for each in described["oneOf"]] == list(mapping.values())


def test_a_stream_is_described_as_text_and_not_as_json() -> None:
    answers = [response for _, _, operation in _operations() for response in operation["responses"].values()]
    streams = [
        answer["content"]["text/event-stream"] for answer in answers if "text/event-stream" in answer.get("content", {})
    ]

    assert streams
    assert {stream["schema"]["type"] for stream in streams} == {"string"}


def test_no_field_of_a_body_has_a_default_since_generated_clients_would_require_it() -> None:
    for name, schema in document()["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            assert "default" not in described, (name, field)


def test_every_error_code_is_described_at_some_operation() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.TurnlogError)]
    codes = {kind.code for kind in kinds if not kind.__subclasses__() and kind not in _INTERNAL_ERRORS}
    described = " ".join(
        response["description"] for _, _, operation in _operations() for response in operation["responses"].values()
    )

    assert codes - set(re.findall(r"`(\w+)`", described)) == set()


def test_it_has_the_version_of_the_package() -> None:
    assert document()["info"]["version"] == turnlog.__version__


@pytest.mark.anyio
async def test_it_is_served_and_not_sent_again_to_a_client_that_has_it(api: Api) -> None:
    served = await api.http.get("/api/openapi.json")
    again = await api.http.get("/api/openapi.json", headers={"if-none-match": served.headers["etag"]})

    assert ok(served) == json.loads(json.dumps(document()))
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.anyio
async def test_every_file_of_the_docs_page_is_served_here_and_cacheable(api: Api) -> None:
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
async def test_answers_have_only_described_fields(api: Api) -> None:
    session_id = new_id()
    await api.new_session(session_id=session_id)
    message = await api.run_turn(session_id, 'call calculate {"expression": "6*7"}')
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
        name = components[event["type"]]
        assert event.keys() - {"first_sequence"} == _fields(f"{name}Event") - {"first_sequence"}
        assert event["data"].keys() <= _fields(name), name


@pytest.mark.anyio
async def test_every_event_is_valid_by_the_schema_of_events(api: Api) -> None:
    session_id = await api.new_session()
    await api.run_turn(session_id, 'call calculate {"expression": "6*7"}')
    await api.append(session_id, {"event_type": "deployment"}, {"event_type": "error", "message": "no", "timestamp": 7})
    page = ok(await api.http.get(f"/sessions/{session_id}/events?limit=1000"))
    schema = {"$ref": "#/components/schemas/EventPage", "components": document()["components"]}

    Draft202012Validator(schema).validate(page)

    assert [each["type"] for each in page["events"] if each.get("origin") == "outside"] == ["deployment", "error"]
    wrong = page["events"][0] | {"type": "message.delta"}
    assert not Draft202012Validator(schema).is_valid(page | {"events": [wrong]})


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_answer_to_schemathesis_is_as_described(tmp_path: Path) -> None:
    settings = {"STREAM_MAX_SECONDS": "1", "MESSAGE_WAIT_SECONDS": "1", "MODEL": "fake-5-0"}
    with running_host(tmp_path, settings) as host:
        ran = _run_schemathesis(host, tmp_path)

    assert ran.returncode == 0, ran.stdout[-20_000:]


def _run_schemathesis(host: Host, work_dir: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", _HTTP / "schemathesis.toml", "run"]
    limits = ["--max-examples", "20", "--generation-deterministic", "--request-timeout", "30", "--no-color"]
    return subprocess.run(
        [*command, f"{host.url}/api/openapi.json", *limits],
        cwd=work_dir,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.http.schemathesis_hooks", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
