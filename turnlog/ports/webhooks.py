"""The port of webhooks' receivers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class WebhookRequest:
    """A signed POST to a receiver."""

    url: str = field(repr=False)
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class WebhookSender(Protocol):
    async def send(self, request: WebhookRequest) -> int:
        """Send the request once, within a time limit; the status of the answer, whose body is not read.

        No redirect is followed.

        Raises:
            WebhookUnreachableError: there was no answer, or the URL leads to an address that may not be called.
        """
        ...
