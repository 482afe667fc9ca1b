"""Sending webhooks over HTTP: to public addresses only, each checked and then called itself.

A name may lead to another address at every lookup. So it is looked up once, every address is checked, and the
connection goes to a checked one: nothing looks the name up again.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2

from turnlog.domain.errors import WebhookTimeoutError, WebhookUnreachableError
from turnlog.domain.webhooks import Address, is_public
from turnlog.ports import WebhookRequest

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

TIMEOUT_SECONDS = 15.0


async def resolve(host: str, port: int) -> Sequence[Address]:
    """All addresses of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(entry[4][0]) for entry in found]


@dataclass
class HttpWebhookSender:
    """Implements `turnlog.ports.WebhookSender`. `allows_loopback`: receivers on this machine are allowed."""

    allows_loopback: bool = False
    timeout: float = TIMEOUT_SECONDS
    resolve: Resolve = resolve
    _tls: ssl.SSLContext | None = field(default=None, repr=False)

    async def send(self, request: WebhookRequest) -> int:
        try:
            async with asyncio.timeout(self.timeout):
                return await self._send(request)
        except TimeoutError:
            raise WebhookTimeoutError("no answer in time") from None
        except httpx2.TimeoutException:
            raise WebhookTimeoutError("no answer in time") from None
        except (OSError, httpx2.HTTPError, httpx2.InvalidURL) as error:
            # The error's text may have the URL, which may have a secret.
            raise WebhookUnreachableError(f"no answer ({type(error).__name__})") from None

    async def _send(self, request: WebhookRequest) -> int:
        url = urlsplit(request.url)
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        address = await self._checked_address(host, port)
        pinned = httpx2.URL(request.url).copy_with(host=str(address))
        headers = {**request.headers, "host": url.netloc}
        # The certificate is that of the name, although the connection goes to the address.
        extensions = {"sni_hostname": host}
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        # Nothing from the environment: a proxy would look the name up again. No connection is used twice: another
        # receiver at the same address has another certificate.
        async with (
            httpx2.AsyncClient(
                verify=self._tls, trust_env=False, follow_redirects=False, timeout=self.timeout
            ) as client,
            client.stream("POST", pinned, content=request.body, headers=headers, extensions=extensions) as response,
        ):
            return response.status_code

    async def _checked_address(self, host: str, port: int) -> Address:
        addresses = await self.resolve(host, port)
        if not addresses or not all(map(self._is_allowed, addresses)):
            raise WebhookUnreachableError("the name leads to an address that is not public")
        return addresses[0]

    def _is_allowed(self, address: Address) -> bool:
        return is_public(address) or (self.allows_loopback and address.is_loopback)
