"""A project's document: its agents and their handoffs. One function validates it."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from turnlog.domain.errors import FieldProblem, InvalidDocumentError

MAX_DOCUMENT_BYTES = 256 * 1024
EMPTY_DOCUMENT: dict[str, Any] = {"nodes": {}}
NODE_ID_PATTERN = r"^[A-Za-z0-9_.\-]{1,128}$"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"

NodeId = Annotated[str, Field(pattern=NODE_ID_PATTERN)]
Name = Annotated[str, Field(max_length=256)]


class Node(BaseModel):
    """An agent of the project. `handoffs` are the nodes to which it may hand over."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name | None = None
    instructions: Annotated[str, Field(max_length=64 * 1024)] | None = None
    model: Name | None = None
    tools: Annotated[list[Name], Field(max_length=128)] = []
    handoffs: Annotated[list[NodeId], Field(max_length=256)] = []


def _forbid_other_ids(schema: dict[str, Any]) -> None:
    """Forbid ids that don't match the pattern. The pattern alone does not forbid them."""
    schema["properties"]["nodes"]["additionalProperties"] = False


class ProjectDocument(BaseModel):
    """A project's document; at most 256 KB as JSON. Every handoff names a node of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, json_schema_extra=_forbid_other_ids)

    nodes: Annotated[dict[NodeId, Node], Field(max_length=256)]


def validated_document(value: Any, at: str = "") -> dict[str, Any]:
    """`value`, unchanged, if it is a valid document. `at` is the pointer to it in the request's body.

    Raises:
        InvalidDocumentError: it is not valid; the error names every fault with its pointer.
    """
    try:
        document = ProjectDocument.model_validate(value)
    except ValidationError as error:
        faults = [(item["loc"], item["msg"]) for item in error.errors(include_url=False)]
    else:
        faults = _unknown_handoffs(document)
    problems = [FieldProblem(at + _pointer(path), text.removeprefix("Value error, ")) for path, text in faults]
    if not problems and len(to_json(value)) > MAX_DOCUMENT_BYTES:
        problems.append(FieldProblem(at, f"a document takes at most {MAX_DOCUMENT_BYTES // 1024} KB"))
    if problems:
        summary = "; ".join(f"{problem.pointer or '/'}: {problem.detail}" for problem in problems[:3])
        raise InvalidDocumentError(f"The project's document would not be valid: {summary}", tuple(problems))
    return value


def document_schema() -> dict[str, Any]:
    """The document's JSON Schema (2020-12)."""
    return {"$schema": _DIALECT, "$id": "/api/schemas/project-document", **ProjectDocument.model_json_schema()}


def _unknown_handoffs(document: ProjectDocument) -> list[tuple[tuple[int | str, ...], str]]:
    return [
        (("nodes", node_id, "handoffs", index), f"there is no node {target!r}")
        for node_id, node in document.nodes.items()
        for index, target in enumerate(node.handoffs)
        if target not in document.nodes
    ]


def _pointer(path: tuple[int | str, ...]) -> str:
    """A JSON pointer (RFC 6901). It omits `[key]`, which pydantic adds if a key is invalid."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in path if part != "[key]")
    return "".join(f"/{part}" for part in parts)
