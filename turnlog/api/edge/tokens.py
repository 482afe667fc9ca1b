"""Bearer tokens (RFC 9068), verified with the keys that their issuer publishes."""

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

from turnlog.domain.errors import IdentityUnavailableError, UnauthenticatedError
from turnlog.settings import settings

_log = logging.getLogger(__name__)

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Only algorithms with public keys: with a shared secret, anyone who can verify a token can also make one."""

_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""The kinds of access tokens (RFC 9068 and before it), in lower case."""

_LEEWAY_SECONDS = 60
_REFRESH_SECONDS = 3600.0
_EXPIRY_SECONDS = 24 * 3600.0
_MIN_FETCH_INTERVAL_SECONDS = 10.0
_FETCH_TIMEOUT_SECONDS = 5.0
_MAX_BYTES = 1024 * 1024


class SigningKeys:
    """An issuer's public keys: fetched on demand, kept for an hour, and through an outage for a day.

    Whatever callers send, the keys are fetched at most every ten seconds, and one fetch serves all requests that wait.
    During a fetch, requests with a known key do not wait.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], seconds: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._tried_at = self._fetched_at = -_EXPIRY_SECONDS
        self._fetching = asyncio.Lock()

    async def key(self, key_id: str) -> jwt.PyJWK:
        """Raises UnauthenticatedError: the issuer has no such key. IdentityUnavailableError: it can't be asked now."""
        if not self._has(key_id, _REFRESH_SECONDS) and not self._is_being_refreshed(key_id):
            async with self._fetching:
                if not self._has(key_id, _REFRESH_SECONDS) and self._may_fetch():
                    await self._refresh()
        if self._has(key_id, _EXPIRY_SECONDS):
            return self._keys[key_id]
        if self._fetched_at < self._tried_at:
            raise IdentityUnavailableError("The signing keys of the issuer can't be read now: try again.")
        raise UnauthenticatedError("The bearer token is signed with a key that its issuer does not publish.")

    def _is_being_refreshed(self, key_id: str) -> bool:
        return self._fetching.locked() and self._has(key_id, _EXPIRY_SECONDS)

    def _has(self, key_id: str, max_age_seconds: float) -> bool:
        return key_id in self._keys and self._seconds() - self._fetched_at < max_age_seconds

    def _may_fetch(self) -> bool:
        return self._seconds() - self._tried_at >= _MIN_FETCH_INTERVAL_SECONDS

    async def _refresh(self) -> None:
        self._tried_at = self._seconds()
        try:
            keys = jwt.PyJWKSet.from_json((await self._fetch()).decode()).keys
        except (OSError, HTTPException, ValueError, PyJWKError, PyJWKSetError, AttributeError) as error:
            # The keys of the last fetch stay in use. A request after the interval tries again.
            _log.warning("the signing keys of the issuer can't be read: %s: %s", type(error).__name__, error)
            return
        self._keys = {str(key.key_id): key for key in keys if key.key_type != "oct" and key.public_key_use != "enc"}
        self._fetched_at = self._tried_at


class TokenVerifier:
    """Accepts the tokens of one issuer for one audience."""

    def __init__(self, issuer: str, audience: str, keys: SigningKeys) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys

    async def claims(self, token: str) -> dict[str, Any]:
        """The claims of a valid token.

        Raises:
            UnauthenticatedError: it is not genuine, has expired, or is meant for another audience.
            IdentityUnavailableError: the issuer can't be asked now.
        """
        try:
            header = jwt.get_unverified_header(token)
            # A token of another kind, for example of a logout, is signed with the same keys.
            if str(header.get("typ", "JWT")).lower() not in _TYPES:
                raise UnauthenticatedError("The bearer token is of another kind: send an access token.")
            key = await self._keys.key(str(header.get("kid")))
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
    """Raises UnauthenticatedError: the request carries no token."""
    scheme, _, token = req.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("Sign in: send the header `authorization: Bearer <token>`.")
    return token.strip()


@cache
def verifier() -> TokenVerifier:
    """The process's verifier, as the settings configure it."""
    current = settings()
    url = current.jwt_jwks_url or ""

    async def fetch() -> bytes:
        return await asyncio.to_thread(_download, url)

    return TokenVerifier(current.jwt_issuer or "", current.jwt_audience or "", SigningKeys(fetch))


def _download(url: str) -> bytes:
    # The client of the standard library is enough for one small document an hour.
    with urllib.request.urlopen(url, timeout=_FETCH_TIMEOUT_SECONDS) as response:  # noqa: S310  # settings allow http(s) only
        return response.read(_MAX_BYTES)
