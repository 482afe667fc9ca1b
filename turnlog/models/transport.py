"""The connections to model servers: aiohttp below the SDK's HTTP client.

aiohttp parses HTTP in C. The SDK's own transport of this kind drops what a broken connection had received, and reports
a refused connection as a timeout.
"""

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from yarl import URL

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

_MAX_CONNECTIONS = 1000
_IDLE_SECONDS = 4.0  # many servers close a connection that is idle for five
_MAX_HEADER_BYTES = 64 * 1024

# Of an error that is several of these, the first counts.
_ERRORS: tuple[tuple[type[Exception], type[httpx2.TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, httpx2.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx2.ReadTimeout),
    (TimeoutError, httpx2.WriteTimeout),
    (aiohttp.ClientProxyConnectionError, httpx2.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx2.ProxyError),
    (aiohttp.InvalidURL, httpx2.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx2.UnsupportedProtocol),
    (aiohttp.ClientConnectorError, httpx2.ConnectError),
    (aiohttp.ServerFingerprintMismatch, httpx2.ConnectError),
    (aiohttp.ClientOSError, httpx2.ReadError),
    (aiohttp.ClientError, httpx2.RemoteProtocolError),
    (OSError, httpx2.ReadError),
    (ValueError, httpx2.LocalProtocolError),
)


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """Sends requests of the SDK's client, through the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`)."""

    def __init__(self) -> None:
        self._tls = httpx2.create_ssl_context()  # here, because it reads files
        self._proxies = getproxies()
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        timeout = request.extensions.get("timeout", {})
        body = await request.aread()
        for _ in range(2):
            await asyncio.sleep(0)  # the event loop learns which idle connections their servers have closed
        with _httpx_errors():
            # aiohttp does not limit how long a server takes to accept a large body.
            async with asyncio.timeout(_sum_of(timeout)):
                response = await self._opened().request(
                    request.method,
                    URL(str(request.url), encoded=True).with_user(None),  # it is in the headers
                    headers=request.headers.multi_items(),
                    data=BytesIO(body) if body else None,
                    allow_redirects=False,
                    proxy=self._proxy_for(request.url),
                    timeout=aiohttp.ClientTimeout(
                        connect=timeout.get("pool"),
                        sock_connect=timeout.get("connect"),
                        sock_read=timeout.get("read"),
                    ),
                )
        return httpx2.Response(response.status, headers=response.raw_headers, stream=_Body(response), request=request)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        """Return the session, which belongs to the running event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, keepalive_timeout=_IDLE_SECONDS, ssl=self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
                max_line_size=_MAX_HEADER_BYTES,
                max_field_size=_MAX_HEADER_BYTES,
            )
        return self._session

    def _proxy_for(self, url: httpx2.URL) -> str | None:
        found = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not found or proxy_bypass(url.netloc.decode()):
            return None
        return found if "://" in found else f"http://{found}"


def _sum_of(timeout: Mapping[str, float | None]) -> float | None:
    """Return the seconds that a request may take until its answer begins; None if one of its parts has no limit."""
    parts = [timeout.get(part) for part in ("connect", "write", "read")]
    limits = [part for part in parts if part is not None]
    return sum(limits) if len(limits) == len(parts) else None


class _Body(httpx2.AsyncByteStream):
    """What a server sends. Each read takes everything that has arrived."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        content = self._response.content
        with _httpx_errors():
            while True:
                try:
                    data = await content.readany()
                except (aiohttp.ClientError, OSError):
                    if received := _unread(content):
                        yield received
                    raise
                if not data:
                    return
                yield data

    async def aclose(self) -> None:
        self._response.close()


def _unread(content: "StreamReader") -> bytes:
    """Return what arrived before the connection broke. The reader itself only raises the error from then on."""
    return content._read_nowait(-1)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - `read_nowait` also raises


@contextmanager
def _httpx_errors() -> Generator[None]:
    """Raise what aiohttp reports as the error of httpx2 that means the same."""
    try:
        yield
    except (aiohttp.ClientError, OSError, ValueError) as error:
        translated = next(to for kind, to in _ERRORS if isinstance(error, kind))
        raise translated(str(error) or type(error).__name__) from error
