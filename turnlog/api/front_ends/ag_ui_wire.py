"""What a run consists of on the wire of AG-UI 1.0: its ids, and the events that have a shape of their own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from turnlog.api.edge.sse import data_frame
from turnlog.api.front_ends.ag_ui_messages import JSON
from turnlog.api.shapes.common import as_json, timestamp
from turnlog.domain.ids import PublicId
from turnlog.domain.session import Action

PROTOCOL_VERSION = "1.0"
NAMESPACE = "turnlog"
_APPROVAL_SCHEMA: JSON = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string", "maxLength": 1024}},
    "required": ["approved"],
}


@dataclass(frozen=True)
class Run:
    """The ids of a run in its client's words."""

    thread_id: PublicId
    run_id: str

    def event(self, kind: str, **fields: Any) -> JSON:
        return {"type": kind, "threadId": self.thread_id, "runId": self.run_id, **fields}


def whole_run(run: Run, messages: Sequence[JSON]) -> bytes:
    """A run in which nothing happens: the messages as they are."""
    snapshot = {"type": "MESSAGES_SNAPSHOT", "messages": messages}
    started = run.event("RUN_STARTED", protocolVersion=PROTOCOL_VERSION)
    return frames([started, snapshot, run.event("RUN_FINISHED", outcome={"type": "success"})])


def step_name(step: int) -> str:
    return f"step {step}"


def call_start(call_id: str, name: str, parent: str) -> JSON:
    return {"type": "TOOL_CALL_START", "toolCallId": call_id, "toolCallName": name, "parentMessageId": parent}


def interrupt(call_id: str, action: Action) -> JSON:
    return {
        "id": call_id,
        "reason": "tool_call",
        "message": f"Approve the call of {action.name}?",
        "toolCallId": call_id,
        "responseSchema": _APPROVAL_SCHEMA,
        "expiresAt": timestamp(action.expires_at),
    }


def frames(events: Iterable[JSON]) -> bytes:
    return b"".join(data_frame(as_json(event)) for event in events)
