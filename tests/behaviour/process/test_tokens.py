"""The keys of an issuer: one fetch serves all requests, fetches are limited, and keys survive an outage."""

import asyncio
import json
from http.client import IncompleteRead, RemoteDisconnected
from urllib.error import URLError

import jwt
import pytest

from tests.http.process.issuer import SigningKey
from turnlog.api.edge.tokens import SigningKeys
from turnlog.domain.errors import IdentityUnavailableError, UnauthenticatedError

pytestmark = pytest.mark.anyio


class FakeIssuer:
    """What an issuer publishes, and how often it was asked. The test sets the clock of the keys."""

    def __init__(self, *key_ids: str) -> None:
        self.body = self.body_with(*key_ids)
        self.requests = 0
        self.failure: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.now = 1_000_000.0
        self.keys = SigningKeys(self.fetch, lambda: self.now)

    @staticmethod
    def body_with(*key_ids: str) -> bytes:
        return json.dumps({"keys": [SigningKey(key_id).public_jwk for key_id in key_ids]}).encode()

    async def fetch(self) -> bytes:
        self.requests += 1
        await asyncio.sleep(0)
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure
        return self.body

    async def has(self, key_id: str) -> bool:
        try:
            return (await self.keys.key(key_id)).key_id == key_id
        except UnauthenticatedError:
            return False


async def test_one_fetch_serves_all_requests() -> None:
    issuer = FakeIssuer("one", "two")

    assert await asyncio.gather(*(issuer.has(key_id) for key_id in ("one", "two") * 20)) == [True] * 40

    assert issuer.requests == 1


async def test_a_new_key_is_found_and_a_removed_one_is_forgotten() -> None:
    issuer = FakeIssuer("one")
    assert await issuer.has("one")
    issuer.body = issuer.body_with("two")
    issuer.now += 11

    assert await issuer.has("two")

    assert not await issuer.has("one")


async def test_unknown_keys_cause_a_limited_number_of_fetches() -> None:
    issuer = FakeIssuer("one")

    for number in range(50):
        assert not await issuer.has(f"no-{number}")
        issuer.now += 1

    assert issuer.requests == 5
    assert await issuer.has("one")


async def test_keys_are_fetched_again_every_hour() -> None:
    issuer = FakeIssuer("one")
    await issuer.has("one")
    issuer.now += 3601

    assert await issuer.has("one")

    assert issuer.requests == 2


@pytest.mark.parametrize(
    "failure", [TimeoutError(), URLError("refused"), IncompleteRead(b""), RemoteDisconnected("gone")]
)
async def test_known_keys_survive_an_outage_of_a_day(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    issuer = FakeIssuer("one")
    await issuer.has("one")
    issuer.failure = failure

    issuer.now += 23 * 3600
    assert await issuer.has("one")
    with pytest.raises(IdentityUnavailableError):  # it may be a new key
        await issuer.has("two")
    issuer.now += 3600
    with pytest.raises(IdentityUnavailableError):
        await issuer.has("one")

    assert type(failure).__name__ in caplog.text

    issuer.failure = None
    issuer.now += 11
    assert await issuer.has("one")


async def test_a_known_key_is_available_during_a_slow_fetch() -> None:
    issuer = FakeIssuer("one")
    await issuer.has("one")
    issuer.now += 3601
    issuer.answers.clear()
    asking = asyncio.create_task(issuer.has("one"))
    await asyncio.sleep(0)

    async with asyncio.timeout(60):
        assert await issuer.has("one")

    assert not asking.done()
    issuer.answers.set()
    assert await asking


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"\xff", b'{"keys": []}', b'{"keys": [{"kty": "RSA", "kid": "one"}]}', b'"x"']
)
async def test_an_invalid_set_of_keys_counts_as_an_outage(body: bytes) -> None:
    issuer = FakeIssuer("one")
    issuer.body = body

    with pytest.raises(IdentityUnavailableError):
        await issuer.has("one")


async def test_secrets_and_keys_for_other_uses_are_ignored() -> None:
    issuer = FakeIssuer("one")
    secret = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}
    other = {**SigningKey("other").public_jwk, "use": "enc"}
    good = SigningKey("good").public_jwk
    issuer.body = json.dumps({"keys": [secret, other, good, {"kty": "unknown", "kid": "x"}]}).encode()

    assert [await issuer.has(key_id) for key_id in ("secret", "other", "good", "x")] == [False, False, True, False]
    assert isinstance(await issuer.keys.key("good"), jwt.PyJWK)
