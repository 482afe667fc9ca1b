"""The API description in OpenAPI 3.1, built from the operations and the types of their bodies and answers."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import TypeAdapter, ValidationError

from turnlog import __version__
from turnlog.api.description.describes import EVENT_STREAM, JSON, Answer, Description
from turnlog.api.description.operations import Operation, operations, tag_of
from turnlog.api.description.schemas import Schema, Schemas, Use
from turnlog.api.edge.parameters import RETRY_AFTER, SESSION_ID, TRACE_ID, TRACEPARENT, Parameter
from turnlog.api.edge.problems import status_of
from turnlog.api.edge.tickets import QUERY_NAME as TICKET
from turnlog.api.shapes.common import Problem
from turnlog.domain.errors import TurnlogError
from turnlog.settings import settings

PROBLEM_JSON = "application/problem+json"

_ABOUT = """Durable agent sessions: create a session, post a message, watch how the answer is written.

Everything that happens in a session is an event of its log, with a sequence 1, 2, 3 …. A reader that comes back with
the last sequence it received misses nothing.

Errors are `application/problem+json` (RFC 9457). A refused request has written nothing. For unknown paths and methods
the platform answers with an empty 404."""
_LICENSE = {"name": "MIT", "identifier": "MIT"}
_TOKEN: Schema = {"token": []}
_SECURITY_SCHEMES: Schema = {
    "token": {"type": "http", "scheme": "bearer"},
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": TICKET,
        "description": "for one stream: what `POST …/ticket` returns",
    },
}
_FRAMES = "Server-sent events: frames of the lines `id:`, `event:` and `data:`, with an empty line after each."
# Examples are what exists, or what the example of a request creates: the page at /api/docs sends them.
_PATH_PARAMETERS = {
    "session_id": ("the session", "demo"),
    "project_id": ("the project", None),
    "message_id": ("the message", None),
    "call_id": ("the tool call", None),
    "agent": ("the agent", "assistant"),
    "asset": ("a file of the page", "swagger-ui.css"),
    "file": ("a file of the console", "app.js"),
    "version": ("the version of the page", None),
    "folder": ("`page`, `view` or `client`", "page"),
}


@cache
def document(resources: tuple[ModuleType, ...]) -> Schema:
    """The description of all `resources`, as JSON values."""
    found = list(operations(resources))
    schemas = Schemas([("serialization", Problem), *(use for each in found for use in _uses(each.description))])
    paths: dict[str, Schema] = defaultdict(dict)
    for each in found:
        paths[each.path][each.method.lower()] = _operation(each, schemas)
    about = [(tag_of(module), (module.__doc__ or "").strip()) for module in resources]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Turnlog", "version": __version__, "description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag, "description": text.partition(": ")[2].capitalize()} for tag, text in about],
        "paths": dict(paths),
        **({} if _is_without_accounts() else {"security": [_TOKEN]}),
        "components": {
            **({} if _is_without_accounts() else {"securitySchemes": _SECURITY_SCHEMES}),
            "schemas": schemas.components,
            "headers": {each.name: _header(each) for each in (TRACE_ID, SESSION_ID, RETRY_AFTER)},
            "parameters": {TRACEPARENT.name: _parameter(TRACEPARENT)},
        },
    }


def _is_without_accounts() -> bool:
    return settings().auth_mode == "none"


def _uses(description: Description) -> list[Use]:
    takes: list[Use] = [] if description.takes is None else [("validation", description.takes)]
    return takes + [("serialization", answer.model) for answer in description.answers if answer.model is not None]


def _operation(operation: Operation, schemas: Schemas) -> Schema:
    own = operation.description
    in_path = [_path_parameter(name) for name in operation.path_parameters]
    others = [_parameter(each) for each in own.reads]
    return {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary.replace("`", ""),  # pages show it as it is
        **({"description": operation.details} if operation.details else {}),
        **({"deprecated": True} if own.is_deprecated else {}),
        **({} if _is_without_accounts() else _security(own)),
        "parameters": [*in_path, *others, {"$ref": f"#/components/parameters/{TRACEPARENT.name}"}],
        **({} if own.takes is None else {"requestBody": _body(own.takes, schemas)}),
        "responses": _responses(operation, schemas),
    }


def _security(description: Description) -> Schema:
    """How callers of one operation say who they are, if it differs from the others."""
    if description.is_public:
        return {"security": []}
    return {"security": [_TOKEN, {"ticket": []}]} if description.takes_ticket else {}


def _path_parameter(name: str) -> Schema:
    description, example = _PATH_PARAMETERS[name]
    schema = {"type": "string", "minLength": 1}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
        **({} if example is None else {"example": example}),
    }


def _parameter(parameter: Parameter) -> Schema:
    return {
        "name": parameter.name,
        "in": parameter.location,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _header(parameter: Parameter) -> Schema:
    return {"description": parameter.description, "schema": parameter.schema}


def _body(takes: Any, schemas: Schemas) -> Schema:
    try:
        TypeAdapter[Any](takes).validate_python({})  # an absent body counts as {}
    except ValidationError:
        is_required = True
    else:
        is_required = False
    return {"required": is_required, "content": {JSON: {"schema": schemas.of_request(takes)}}}


def _responses(operation: Operation, schemas: Schemas) -> Schema:
    about_session = {"session_id", "message_id"} & set(operation.path_parameters)
    usual = [TRACE_ID, *([SESSION_ID] if about_session else [])]
    by_status: dict[int, list[Answer]] = defaultdict(list)
    for answer in operation.description.answers:
        by_status[answer.status].append(answer)
    responses = {status: _response(answers, usual, schemas) for status, answers in sorted(by_status.items())}
    errors: dict[int, list[type[TurnlogError]]] = defaultdict(list)
    for kind in operation.errors:
        errors[status_of(kind)].append(kind)
    responses |= {status: _error_response(kinds, usual, schemas) for status, kinds in sorted(errors.items())}
    if not operation.description.is_public:
        responses[500] = _problem("`internal_error`", usual, schemas)
    return {str(status): response for status, response in responses.items()}


def _response(answers: Sequence[Answer], usual: Sequence[Parameter], schemas: Schemas) -> Schema:
    own = dict.fromkeys(header for answer in answers for header in answer.headers)
    content = {answer.media_type: _content(answer, schemas) for answer in answers if _has_body(answer)}
    return {
        "description": ". Or: ".join(answer.description for answer in answers) + ".",
        "headers": _references(usual) | {header.name: _header(header) for header in own},
        **({"content": content} if content else {}),
    }


def _has_body(answer: Answer) -> bool:
    return answer.model is not None or answer.media_type != JSON


def _content(answer: Answer, schemas: Schemas) -> Schema:
    if answer.media_type == EVENT_STREAM:
        frames = {} if answer.model is None else {"x-frame": schemas.of_answer(answer.model)}
        schema: Schema = {"type": "string", "description": _FRAMES, **frames}
    else:
        schema = {"type": "string"} if answer.model is None else schemas.of_answer(answer.model)
    return {"schema": schema, **({} if answer.example is None else {"example": answer.example})}


def _error_response(kinds: Sequence[type[TurnlogError]], usual: Sequence[Parameter], schemas: Schemas) -> Schema:
    codes = ", ".join(f"`{code}`" for code in dict.fromkeys(kind.code for kind in kinds))
    retry = [RETRY_AFTER] if any(kind.retryable for kind in kinds) else []
    return _problem(codes, [*usual, *retry], schemas)


def _problem(codes: str, headers: Sequence[Parameter], schemas: Schemas) -> Schema:
    return {
        "description": codes,
        "headers": _references(headers),
        "content": {PROBLEM_JSON: {"schema": schemas.of_answer(Problem)}},
    }


def _references(headers: Sequence[Parameter]) -> Schema:
    return {header.name: {"$ref": f"#/components/headers/{header.name}"} for header in headers}
