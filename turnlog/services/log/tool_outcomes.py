"""How the tool calls of messages ended: loaded for views of messages, in pages of bounded size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydantic_core import to_json

from turnlog.domain.events import ToolCallComplete
from turnlog.domain.ids import SessionId
from turnlog.domain.pages import MAX_RESPONSE_BYTES, Page
from turnlog.domain.stored_documents import Message, ToolResult
from turnlog.domain.turn_events import stored_completion
from turnlog.ports import Documents

_MAX_POINT_READS = 3
"""Up to so many calls are read by their ids, which is cheaper than a query."""


@dataclass
class Outcomes:
    """The outcomes of calls by their ids; calls that have not ended have none. `size` is that of their responses.

    Responses over 64 KB are references, as in events. So are those that would make `size` too large for a response.
    """

    by_call: dict[str, ToolCallComplete] = field(default_factory=dict[str, ToolCallComplete])
    size: int = 0

    def add(self, result: ToolResult) -> None:
        outcome = stored_completion(result)
        size = len(to_json(outcome.response))
        if self.size + size > MAX_RESPONSE_BYTES:
            outcome = outcome.model_copy(update={"response": None, "overflow": result.id})
            size = 0
        self.by_call[result.id] = outcome
        self.size += size


async def load_first_outcomes(
    documents: Documents, session_id: SessionId, messages: Sequence[Message], *, newest: bool = False
) -> tuple[Sequence[Message], Mapping[str, ToolCallComplete]]:
    """The first of `messages`, at least one, and the outcomes of their calls. They have their steps.

    They are fewer if more outcomes would have to be read than fit into a response. `newest`: in descending order.
    """
    outcomes, found = Outcomes(), await _find_results(documents, session_id, messages, newest=newest)
    for result in found:
        outcomes.add(result)
    first = list[Message]()
    for message in messages:
        missing = [call for call in message.tool_calls if call.id not in outcomes.by_call]
        if missing and first and found.has_more:
            break
        # A call that runs has none. A message that steers has the calls of another one, outside the range.
        for call in missing:
            if result := await documents.get(ToolResult, session_id, call.id):
                outcomes.add(result)
        first.append(message)
    return first, outcomes.by_call


async def _find_results(
    documents: Documents, session_id: SessionId, messages: Sequence[Message], *, newest: bool
) -> Page[ToolResult]:
    """The results of calls of `messages` that a query finds; none if there are few, which are read by their ids."""
    count = sum(len(message.tool_calls) for message in messages)
    if count <= _MAX_POINT_READS:
        return Page()
    first, last = sorted((messages[0].sequence, messages[-1].sequence))
    return await documents.find(
        ToolResult,
        session_id,
        after=first - 1,
        before=last + 1,
        limit=count,
        newest=newest,
        max_bytes=MAX_RESPONSE_BYTES,
    )
