"""The order of the waiting messages: first those that go ahead, then the others in the order of their arrival."""

from typing import TypeAlias

from turnlog.domain.ids import MessageId
from turnlog.domain.values import OnBusy

Queue: TypeAlias = tuple[tuple[MessageId, ...], int]
"""The messages in the order in which they will run, and how many of them are ahead of the enqueued ones."""


def joined(queue: Queue, message_id: MessageId, on_busy: OnBusy) -> Queue:
    """The queue with one more message, placed as `on_busy` says."""
    waiting, ahead = queue
    match on_busy:
        case "interrupt":
            return (message_id, *waiting), ahead + 1
        case "steer":
            return (*waiting[:ahead], message_id, *waiting[ahead:]), ahead + 1
        case _:
            return (*waiting, message_id), ahead


def without(queue: Queue, message_id: MessageId | None) -> Queue:
    """The queue without a message, which need not be in it."""
    waiting, ahead = queue
    leading = tuple(each for each in waiting[:ahead] if each != message_id)
    return (*leading, *(each for each in waiting[ahead:] if each != message_id)), len(leading)
