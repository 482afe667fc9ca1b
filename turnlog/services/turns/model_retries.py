"""Calls to the model that are made again after a failure, until one is answered."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from turnlog.domain.errors import ModelError
from turnlog.domain.values import Piece
from turnlog.ports import ModelClient, ModelRequest, ModelStream

MAX_CALLS = 4
"""How often the model is called for one step, in all its attempts together."""

_PAUSES = (0.5, 2.0, 5.0)


@dataclass(frozen=True)
class CallSettings:
    """How the model is called.

    `max_silence` is how long its server may send nothing, `max_call` how long a call may take. `options` and `headers`
    are added to every request; those of an agent replace them.
    """

    max_silence: timedelta
    max_call: timedelta
    options: Mapping[str, Any]
    headers: Mapping[str, str]


class RetriedCall:
    """The calls that one attempt makes. `stream` is that of the last one.

    Args:
        model: opens the client.
        calls_before: how often earlier attempts of the step called the model.
        seconds_left: how much time the turn has left; no call is made later.
    """

    def __init__(
        self,
        model: Callable[[], Awaitable[ModelClient]],
        settings: CallSettings,
        calls_before: int,
        seconds_left: Callable[[], float],
    ) -> None:
        self._model = model
        self._max_seconds = settings.max_call.total_seconds()
        self._calls_before = calls_before
        self._seconds_left = seconds_left
        self._has_begun = False
        self.stream: ModelStream | None = None
        self.calls_made = 0
        self.is_worth_another_attempt = False
        """After an error: readers have a part of the answer. Another attempt makes that void, and may succeed."""

    async def pieces(self, request: ModelRequest) -> AsyncGenerator[Piece]:
        """Yield the answer as it arrives.

        Before the first piece, a failed call is made again here, once with a shorter conversation if it was too long.
        After it, the error is raised when the pause is over.

        Raises:
            ModelError: no call was answered to its end.
        """
        model = await self._model()
        original = request
        while True:
            self.calls_made += 1
            try:
                async with asyncio.timeout(self._max_seconds):
                    async with model.stream(request) as self.stream:
                        async for piece in self.stream:
                            self._has_begun = True
                            yield piece
                return
            except TimeoutError:
                raise ModelError("model_timeout", "The model's answer took too long.", transient=False) from None
            except ModelError as error:
                if request is original and self._may_shorten(error):
                    request = _shortened(original)
                    if request is not original:
                        continue
                if not self._may_call_again(error):
                    raise
                await asyncio.sleep(self._pause_after(error))
                if self._has_begun:
                    self.is_worth_another_attempt = True
                    raise

    @property
    def _calls_left(self) -> int:
        return MAX_CALLS - self._calls_before - self.calls_made

    def _may_shorten(self, error: ModelError) -> bool:
        return error.failure_code == "context_length_exceeded" and not self._has_begun and self._calls_left > 0

    def _may_call_again(self, error: ModelError) -> bool:
        return error.transient and self._calls_left > 0 and self._pause_after(error) < self._seconds_left()

    def _pause_after(self, error: ModelError) -> float:
        """Seconds until the next call: longer after each call, and at least what the server asks for."""
        number = min(self._calls_before + self.calls_made, len(_PAUSES))
        return max(_PAUSES[number - 1], error.retry_after or 0)


def _shortened(request: ModelRequest) -> ModelRequest:
    """`request` with half of its conversation; itself if there is nothing to leave out."""
    conversation = request.conversation.within(request.conversation.size // 2)
    return request if conversation == request.conversation else replace(request, conversation=conversation)
