"""Bearer tokens (RFC 9068): checked against the keys that their issuer publishes."""

import asyncio
import logging
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from http.client import HTTPException
from typing import Any

import jwt
from azurefunctions.extensions.http.fastapi import Request
from jwt.exceptions import PyJWKError, PyJWKSetError

from shared.domain.errors import IdentityUnavailableError, UnauthenticatedError
from shared.settings import settings

_log = logging.getLogger(__name__)

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Those of public keys only: with a shared secret, whoever can check a token can make one."""

_LEEWAY_SECONDS = 60
_FRESH_SECONDS = 3600.0
_KEPT_SECONDS = 24 * 3600.0
_PAUSE_SECONDS = 10.0
_FETCH_SECONDS = 5.0
_MOST_BYTES = 1024 * 1024


class SigningKeys:
    """An issuer's public keys, fetched when one is asked for and kept for an hour; through an outage for a day.

    Whatever callers send, they are fetched at most every ten seconds, and by one request for all that wait. Who asks
    for a known one meanwhile does not wait.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], seconds: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._asked_at = self._fetched_at = -_KEPT_SECONDS
        self._fetching = asyncio.Lock()

    async def key(self, key_id: str) -> jwt.PyJWK:
        """Raises UnauthenticatedError: the issuer has no such key. IdentityUnavailableError: it doesn't say."""
        if not self._holds(key_id, _FRESH_SECONDS) and not self._is_due_to_another(key_id):
            async with self._fetching:
                if not self._holds(key_id, _FRESH_SECONDS) and self._seconds() - self._asked_at >= _PAUSE_SECONDS:
                    await self._fetch_all()
        if self._holds(key_id, _KEPT_SECONDS):
            return self._keys[key_id]
        if self._fetched_at < self._asked_at:
            raise IdentityUnavailableError("The keys that tokens are signed with can't be read: try again.")
        raise UnauthenticatedError("The bearer token is signed with a key that its issuer does not publish.")

    def _is_due_to_another(self, key_id: str) -> bool:
        return self._fetching.locked() and self._holds(key_id, _KEPT_SECONDS)

    def _holds(self, key_id: str, seconds: float) -> bool:
        return key_id in self._keys and self._seconds() - self._fetched_at < seconds

    async def _fetch_all(self) -> None:
        self._asked_at = self._seconds()
        try:
            found = jwt.PyJWKSet.from_json((await self._fetch()).decode()).keys
        except (OSError, HTTPException, ValueError, PyJWKError, PyJWKSetError, AttributeError) as error:
            # What was fetched before goes on; who asks after the pause tries again.
            _log.warning("the keys that tokens are signed with can't be read: %s: %s", type(error).__name__, error)
            return
        self._keys = {str(key.key_id): key for key in found if key.key_type != "oct" and key.public_key_use != "enc"}
        self._fetched_at = self._asked_at


class TokenVerifier:
    """Tells genuine tokens of one issuer for one audience from all others."""

    def __init__(self, issuer: str, audience: str, keys: SigningKeys) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys

    async def claims(self, token: str) -> dict[str, Any]:
        """What the token says of its bearer.

        Raises:
            UnauthenticatedError: it is not genuine, over, or meant for somebody else.
            IdentityUnavailableError: nobody can tell just now.
        """
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = await self._keys.key(str(key_id))
            return jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise UnauthenticatedError(f"The bearer token is not valid: {error}.") from error


def bearer_token(req: Request) -> str:
    """Raises UnauthenticatedError: the request carries none."""
    scheme, _, token = req.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("Sign in: send authorization: Bearer and a token.")
    return token.strip()


@cache
def verifier() -> TokenVerifier:
    """The process's verifier, as the settings ask for it."""
    current = settings()
    url = current.jwt_jwks_url or ""

    async def fetch() -> bytes:
        return await asyncio.to_thread(_read, url)

    return TokenVerifier(current.jwt_issuer or "", current.jwt_audience or "", SigningKeys(fetch))


def _read(url: str) -> bytes:
    # The standard library's client: one small document an hour needs no other.
    with urllib.request.urlopen(url, timeout=_FETCH_SECONDS) as response:  # noqa: S310  # settings allow http(s) only
        return response.read(_MOST_BYTES)
