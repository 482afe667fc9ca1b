"""JSON Patch (RFC 6902) on a project's document: the one path on which a proposed patch is checked and applied."""

import copy
import json
from collections.abc import Sequence
from typing import Any, Literal, Self

import jsonpatch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from shared.domain.errors import InvalidDocumentError
from shared.domain.project_document import validated_document

PATCH_BYTES = 64 * 1024
"""The most that a patch takes, as JSON."""

MAX_OPERATIONS = 100
_GROWN_BYTES = 2 * 1024 * 1024
_ROOM = "nodes"


class InvalidPatchError(ValueError):
    """The patch can't be applied; the text says why, and is the model's to act on."""


class Operation(BaseModel):
    """One change. `value` goes with add, replace and test; `from` with move and copy. Others' members are ignored."""

    model_config = ConfigDict(populate_by_name=True, frozen=True)

    op: Literal["add", "remove", "replace", "move", "copy", "test"]
    path: str = Field(description="JSON Pointer (RFC 6901), such as /nodes/agent1/instructions; in names ~ is ~0, / ~1")
    from_: str | None = Field(default=None, alias="from", description="JSON Pointer: what to move or copy")
    value: JsonValue = Field(default=None, description="what to add, to put in its place, or to compare with")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.op in {"move", "copy"} and self.from_ is None:
            raise ValueError(f"{self.op} needs `from`")
        if self.op in {"add", "replace", "test"} and "value" not in self.model_fields_set:
            raise ValueError(f"{self.op} needs `value`")
        return self

    @property
    def members(self) -> dict[str, Any]:
        """The operation as RFC 6902 has it, without what means nothing to it."""
        own: dict[str, Any] = {"op": self.op}
        if self.op in {"move", "copy"}:
            own["from"] = self.from_
        own["path"] = self.path
        return own | ({"value": self.value} if self.op in {"add", "replace", "test"} else {})


def patched(document: dict[str, Any], operations: Sequence[Operation], node_id: str | None) -> dict[str, Any]:
    """A new document: `document` after `operations`, each of them done or none.

    They may touch what is under /nodes; with a `node_id` only /nodes/<node_id> and what is in it.

    Raises:
        InvalidPatchError: too many or too large, a path that is not allowed, an operation that does not apply, a test
            that fails, or a document that would not be a project's any more.
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
        raise InvalidPatchError(_told(error)) from error


def _check_size(members: Sequence[dict[str, Any]]) -> None:
    if not 1 <= len(members) <= MAX_OPERATIONS:
        raise InvalidPatchError(f"A patch has 1 to {MAX_OPERATIONS} operations, not {len(members)}.")
    try:
        size = len(json.dumps(members, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError) as error:  # NaN, half of an emoji, a number without end
        raise InvalidPatchError(f"The patch holds what JSON can't carry: {error}") from error
    if size > PATCH_BYTES:
        raise InvalidPatchError(f"The patch takes {size} bytes; at most {PATCH_BYTES} are allowed.")


def _check_allowed(pointer: str, node_id: str | None, number: int) -> None:
    """By the names it leads through, not by its text: an escaped name is the same name."""
    try:
        names = jsonpatch.JsonPointer(pointer).parts
    except jsonpatch.JsonPointerException as error:
        raise InvalidPatchError(f"Operation {number}: {pointer!r} is no JSON Pointer: {error}") from error
    allowed = [_ROOM] if node_id is None else [_ROOM, node_id]
    if names[: len(allowed)] != allowed:
        room = jsonpatch.JsonPointer.from_parts(allowed).path
        raise InvalidPatchError(
            f"Operation {number}: {pointer!r} may not be touched here, only {room} and what is in it."
        )


def _applied(document: Any, member: dict[str, Any], number: int) -> Any:
    try:
        changed = jsonpatch.apply_patch(document, [member], in_place=True)
        # Copies of copies double what there is: the next one may only begin from something that still fits.
        if member["op"] == "copy" and len(json.dumps(changed)) > _GROWN_BYTES:
            raise InvalidPatchError(f"Operation {number}: the document would grow too large.")
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise InvalidPatchError(f"Operation {number} ({_named(member)}) does not apply: {_told(error)}") from error
    except RecursionError as error:
        raise InvalidPatchError(f"Operation {number}: the document would be nested too deeply.") from error
    return changed


def _named(member: dict[str, Any]) -> str:
    return f"{member['op']} {member['path']}"


def _told(error: BaseException, most: int = 1000) -> str:
    """The error in words, without a whole document that it may quote."""
    text = str(error)
    return text if len(text) <= most else f"{text[:most]}…"
