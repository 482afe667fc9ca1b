"""Identifiers: their types, how they are created, and how one is derived from another.

A session has two ids. Callers see its public id, for example `demo`, which is unique among the sessions of its owner.
The program and the stores use its `SessionId`, which is bound to the owner: `<hash of the owner>~demo`. Two owners may
both have a `demo`, and neither can find out about the other's.
"""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from typing import NewType

OwnerHash = NewType("OwnerHash", str)
PublicId = NewType("PublicId", str)
SessionId = NewType("SessionId", str)
TurnId = NewType("TurnId", str)
MessageId = NewType("MessageId", str)
InstanceId = NewType("InstanceId", str)
ProjectId = NewType("ProjectId", str)
CallId = NewType("CallId", str)
WriterId = NewType("WriterId", str)

PUBLIC_ID_PATTERN = r"^[A-Za-z0-9._:\-]{1,128}$"

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BINDING = "~"  # no public id contains it
_PUBLIC_ID = re.compile(PUBLIC_ID_PATTERN)
_PROJECT_ID = re.compile(rf"^prj_[{_CROCKFORD}]{{26}}$")
_MESSAGE_ID = re.compile(r"^msg_([0-9A-Z]{26})_([A-Za-z0-9._:\-]{1,128})$")


def new_ulid(at: datetime) -> str:
    """26 characters that sort by `at` (48 bits of milliseconds, 80 random bits; github.com/ulid/spec)."""
    return base32((int(at.timestamp() * 1000) << 80) | secrets.randbits(80))


def base32(number: int) -> str:
    """The lowest 130 bits of `number` as 26 Crockford characters."""
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -5, -5))


def owner_hash(owner: str) -> OwnerHash:
    """What stands for an owner in keys and in what is left of deleted sessions: 130 bits as 26 characters."""
    return OwnerHash(base32(int.from_bytes(hashlib.sha256(owner.encode()).digest())))


def bound_id(owner: str, public_id: str) -> SessionId:
    """The id of the session that `owner` calls `public_id`. Every way from callers to sessions leads through here."""
    return SessionId(f"{owner_hash(owner)}{_BINDING}{public_id}")


def public_id(session_id: SessionId) -> PublicId:
    """What the owner of a session calls it."""
    _, binding, after = session_id.partition(_BINDING)
    return PublicId(after if binding else session_id)


def new_session_id(owner: str, at: datetime) -> SessionId:
    return bound_id(owner, f"ses_{new_ulid(at)}")


def created_at_of(session_id: SessionId) -> datetime:
    """When `new_session_id` created this id."""
    milliseconds = 0
    for character in public_id(session_id).removeprefix("ses_")[:10]:
        milliseconds = milliseconds * 32 + _CROCKFORD.index(character)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def new_project_id(at: datetime) -> ProjectId:
    return ProjectId(f"prj_{new_ulid(at)}")


def new_message_id(session_id: SessionId, at: datetime) -> MessageId:
    """A message's id ends with its session's public id: with the owner, it leads to the partition."""
    return MessageId(f"msg_{new_ulid(at)}_{public_id(session_id)}")


def new_writer_id() -> WriterId:
    return WriterId(secrets.token_hex(8))


def is_public_id(text: str) -> bool:
    """Whether `text` is valid as a session's public id. `.` and `..` are not: URLs resolve them away."""
    return _PUBLIC_ID.fullmatch(text) is not None and text not in {".", ".."}


def is_project_id(text: str) -> bool:
    """Whether `text` is a valid project id. Stores can't look up every other text, for example one with a slash."""
    return _PROJECT_ID.fullmatch(text) is not None


def session_of(message_id: str) -> PublicId | None:
    """The session that `message_id` belongs to. None if it is not a message id."""
    match = _MESSAGE_ID.fullmatch(message_id)
    return PublicId(match.group(2)) if match else None


def turn_of(message_id: MessageId) -> TurnId:
    """The turn that a message starts. It is known as soon as the message id is, even if the message has to wait."""
    return TurnId(f"turn_{message_id[4:30]}")


def call_id(turn_id: TurnId, step: int, index: int) -> CallId:
    """A tool call's id. It is unique, unlike a model's own `call_0`, and stays the same when the tool is retried.

    It has at most 40 characters, OpenAI's limit for ids that are sent back to it.
    """
    return CallId(f"call_{turn_id.removeprefix('turn_')}_{step}_{index}")


def deletion_instance(project_id: ProjectId, generation: int) -> InstanceId:
    """The Durable instance that deletes the sessions of a project."""
    return InstanceId(f"delete_{project_id}~{generation}")


def instance_of(turn_id: TurnId, generation: int) -> InstanceId:
    """The Durable instance that runs a turn. The first has the turn's id; after each handover `~2`, `~3` … follows."""
    return InstanceId(turn_id if generation == 1 else f"{turn_id}~{generation}")
