"""The end of a turn: its last events, and its message as it is stored."""

from dataclasses import dataclass, replace
from datetime import datetime

from turnlog.domain.chunks import Draft
from turnlog.domain.events import (
    ErrorRaised,
    EventData,
    RunComplete,
    VibecodeResponse,
)
from turnlog.domain.session import ActiveTurn
from turnlog.domain.sizes import truncate
from turnlog.domain.stored_documents import Message, Step, ToolResult
from turnlog.domain.turn_events import requeued_drafts, step_completion, tool_completion, turn_drafts
from turnlog.domain.values import (
    MAX_INLINE_TEXT_BYTES,
    Failure,
    TurnOutcome,
    Usage,
)


@dataclass(frozen=True)
class Ending:
    """How a turn ends.

    `last` is the newest step that was completed, `unfinished` what an interrupted step had written. `dangling` are the
    tool calls without an answer. `unread` are the messages that were put into the turn and that no model call read:
    each gets its own turn. `vibecoded` is the change that a VibeCoder's turn made to its project.
    """

    status: TurnOutcome
    at: datetime
    failure: Failure | None = None
    last: Step | None = None
    unfinished: Step | None = None
    dangling: tuple[ToolResult, ...] = ()
    vibecoded: VibecodeResponse | None = None
    unread: tuple[Message, ...] = ()

    def shortened(self) -> "Ending":
        """The ending without its large parts: little text of the interrupted step, no answers to calls, no patch.

        The log has the deltas of that text, the step's document the calls, and the project the patch.
        """
        unfinished = self.unfinished
        if unfinished is not None:
            text, is_cut = truncate(unfinished.text, MAX_INLINE_TEXT_BYTES)
            cut = {"text": text, "truncated": unfinished.truncated or is_cut, "reasoning": ""}
            unfinished = unfinished.model_copy(update=cut)
        vibecoded = None if self.vibecoded is None else self.vibecoded.model_copy(update={"patch": None})
        return replace(self, unfinished=unfinished, dangling=(), vibecoded=vibecoded)

    def drafts(self, turn: ActiveTurn, message: Message) -> list[Draft]:
        """The turn's last events. Open steps and calls are closed first, so that the next model call is valid."""
        end = RunComplete(
            status=self.status,
            steps=turn.steps_done + (self.unfinished is not None),
            usage=turn.usage.model_dump(include=set(Usage.model_fields)),
            cost=turn.cost,
            duration_ms=max(0, int((self.at - turn.started_at).total_seconds() * 1000)),
            model=turn.model,
            error=self.failure,
        )
        # A client that waits for an unread message must learn of that message's own turn before this turn's end.
        closing = turn_drafts(message, *self._closing(turn, message))
        return [*closing, *requeued_drafts(self.unread), *turn_drafts(message, end)]

    def _closing(self, turn: ActiveTurn, message: Message) -> list[EventData]:
        closing: list[EventData] = []
        if self.unfinished is not None and turn.call is not None:
            attempt = turn.call.number
            closing.append(step_completion(message.message_id, turn.step, attempt, self.unfinished, partial=True))
        closing += [tool_completion(result) for result in self.dangling]
        if self.failure is not None:
            closing.append(ErrorRaised(**self.failure.known_fields()))
        if self.vibecoded is not None:
            closing.append(self.vibecoded)
        return closing

    def ended_message(self, turn: ActiveTurn, message: Message) -> Message:
        """The message as it is stored. What an interrupted step had written is part of its answer."""
        last = self.unfinished or self.last
        changes = {
            "step_count": turn.steps_done + (self.unfinished is not None),
            "status": self.status,
            "error": self.failure,
            "usage": turn.usage,
            "cost": turn.cost,
            "finish_reason": None if last is None else last.finish_reason,
            "completed_at": self.at,
        }
        return message.model_copy(update=changes)
