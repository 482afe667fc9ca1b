"""JSON Patch (RFC 6902) on a project's document: the one place where a proposed patch is checked and applied."""

import copy
import json
from collections.abc import Sequence
from typing import Any, Literal, Self

import jsonpatch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from turnlog.domain.errors import InvalidDocumentError
from turnlog.domain.project_document import validated_document

MAX_PATCH_BYTES = 64 * 1024
"""The maximum size of a patch, as JSON."""

MAX_OPERATIONS = 100
_MAX_GROWN_BYTES = 2 * 1024 * 1024
_NODES = "nodes"


class InvalidPatchError(ValueError):
    """The patch can't be applied. The text says why, for the model to correct it."""


class Operation(BaseModel):
    """One change. add, replace and test need `value`; move and copy need `from`. Unused members are ignored."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: str = Field(description="JSON Pointer (RFC 6901), like /nodes/agent1/instructions; in names ~ is ~0, / is ~1")
    from_: str | None = Field(default=None, alias="from", description="JSON Pointer: what to move or copy")
    value: JsonValue = Field(default=None, description="what to add, to replace with, or to compare with")

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.op in {"move", "copy"} and self.from_ is None:
            raise ValueError(f"{self.op} needs `from`")
        if self.op in {"add", "replace", "test"} and "value" not in self.model_fields_set:
            raise ValueError(f"{self.op} needs `value`")
        return self

    @property
    def members(self) -> dict[str, Any]:
        """The operation in the form of RFC 6902, without unused members."""
        own: dict[str, Any] = {"op": self.op}
        if self.op in {"move", "copy"}:
            own["from"] = self.from_
        own["path"] = self.path
        return own | ({"value": self.value} if self.op in {"add", "replace", "test"} else {})


def patched(document: dict[str, Any], operations: Sequence[Operation], node_id: str | None) -> dict[str, Any]:
    """A new document: `document` after all `operations`, or an error.

    They may change only /nodes and what is in it. With a `node_id` they may change only /nodes/<node_id>.

    Raises:
        InvalidPatchError: there are too many operations, the patch is too large, a path is not allowed, an operation
            can't be applied, a test fails, or the result is not a valid document.
    """
    members = [operation.members for operation in operations]
    _check_size(members)
    for number, operation in enumerate(operations):
        for pointer in (operation.path, operation.from_ if "from" in operation.members else None):
            if pointer is not None:
                _check_allowed(pointer, node_id, number)
    changed: Any = copy.deepcopy(document)
    for number, member in enumerate(members):
        changed = _applied(changed, member, number)
    try:
        return validated_document(changed)
    except InvalidDocumentError as error:
        raise InvalidPatchError(_shortened(error)) from error


def _check_size(members: Sequence[dict[str, Any]]) -> None:
    if not 1 <= len(members) <= MAX_OPERATIONS:
        raise InvalidPatchError(f"A patch has 1 to {MAX_OPERATIONS} operations, not {len(members)}.")
    try:
        size = len(json.dumps(members, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError) as error:  # NaN, half of an emoji, too deep nesting
        raise InvalidPatchError(f"The patch can't be written as JSON: {error}") from error
    if size > MAX_PATCH_BYTES:
        raise InvalidPatchError(f"The patch has {size} bytes; at most {MAX_PATCH_BYTES} are allowed.")


def _check_allowed(pointer: str, node_id: str | None, number: int) -> None:
    """Check the names in the pointer, not its text: an escaped name is the same name."""
    try:
        names = jsonpatch.JsonPointer(pointer).parts
    except jsonpatch.JsonPointerException as error:
        raise InvalidPatchError(f"Operation {number}: {pointer!r} is not a JSON Pointer: {error}") from error
    allowed = [_NODES] if node_id is None else [_NODES, node_id]
    if names[: len(allowed)] != allowed:
        root = jsonpatch.JsonPointer.from_parts(allowed).path
        raise InvalidPatchError(f"Operation {number}: {pointer!r} is not allowed, only {root} and what is in it.")


def _applied(document: Any, member: dict[str, Any], number: int) -> Any:
    try:
        changed = jsonpatch.apply_patch(document, [member], in_place=True)
        # Copies of copies double the document, so its size is checked after each copy.
        if member["op"] == "copy" and len(json.dumps(changed)) > _MAX_GROWN_BYTES:
            raise InvalidPatchError(f"Operation {number}: the document would grow too large.")
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        detail = f"Operation {number} ({_label(member)}) can't be applied: {_shortened(error)}"
        raise InvalidPatchError(detail) from error
    except RecursionError as error:
        raise InvalidPatchError(f"Operation {number}: the document would be nested too deeply.") from error
    return changed


def _label(member: dict[str, Any]) -> str:
    return f"{member['op']} {member['path']}"


def _shortened(error: BaseException, max_length: int = 1000) -> str:
    """The text of the error, without the whole of a document that it quotes."""
    text = str(error)
    return text if len(text) <= max_length else f"{text[:max_length]}…"
