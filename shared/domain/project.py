"""A project: a JSON document that its sessions' agents work on, revision by revision."""

from typing import Any

from pydantic import AwareDatetime

from shared.domain.ids import MessageId, ProjectId, WriterId
from shared.domain.values import Frozen, Ordinal

MOST_APPLIED = 50
"""How many applied patches a project remembers, so that each is applied once."""


class AppliedPatch(Frozen):
    """That a message's turn changed the document, by which tool call, and the revision this made."""

    message_id: MessageId
    call_id: str
    revision: Ordinal


class Project(Frozen):
    """A project as it is stored. `revision` counts its changes; `changed_by` tells a change from an equal one.

    `body_hash` is that of the request that made it, if it had an Idempotency-Key. A deleted
    one is a mark; once it is `emptied`, its sessions are deleted, too.
    """

    id: ProjectId
    owner: str
    name: str
    document: dict[str, Any]
    revision: Ordinal = 1
    applied: tuple[AppliedPatch, ...] = ()
    changed_by: WriterId
    body_hash: str | None = None
    deleted: bool = False
    emptied: bool = False
    created_at: AwareDatetime
    updated_at: AwareDatetime

    @property
    def listing_key(self) -> str:
        """Where it stands in lists: by creation, then id."""
        return f"{self.created_at.isoformat()}|{self.id}"
