"""An issuer's keys: fetched when needed, by one for all, not too often, and kept through an outage."""

import asyncio
import json
from http.client import IncompleteRead, RemoteDisconnected
from urllib.error import URLError

import jwt
import pytest

from shared.api.edge.tokens import SigningKeys
from shared.domain.errors import IdentityUnavailableError, UnauthenticatedError
from tests.http.issuer import SigningKey

pytestmark = pytest.mark.anyio


class Published:
    """What an issuer has to say, and how often it was asked; the keys' clock is in the test's hand."""

    def __init__(self, *key_ids: str) -> None:
        self.body = self.naming(*key_ids)
        self.asked = 0
        self.failure: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.now = 1_000_000.0
        self.keys = SigningKeys(self.fetch, lambda: self.now)

    @staticmethod
    def naming(*key_ids: str) -> bytes:
        return json.dumps({"keys": [SigningKey(key_id).published for key_id in key_ids]}).encode()

    async def fetch(self) -> bytes:
        self.asked += 1
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


async def test_they_are_fetched_once_for_all_who_ask() -> None:
    published = Published("one", "two")

    assert await asyncio.gather(*(published.has(key_id) for key_id in ("one", "two") * 20)) == [True] * 40

    assert published.asked == 1


async def test_a_new_key_is_found_and_an_old_one_forgotten() -> None:
    published = Published("one")
    assert await published.has("one")
    published.body = published.naming("two")
    published.now += 11

    assert await published.has("two")

    assert not await published.has("one")


async def test_keys_that_nobody_has_are_not_asked_for_again_and_again() -> None:
    published = Published("one")

    for number in range(50):
        assert not await published.has(f"no-{number}")
        published.now += 1

    assert published.asked == 5
    assert await published.has("one")


async def test_they_are_read_anew_every_hour() -> None:
    published = Published("one")
    await published.has("one")
    published.now += 3601

    assert await published.has("one")

    assert published.asked == 2


@pytest.mark.parametrize(
    "failure", [TimeoutError(), URLError("refused"), IncompleteRead(b""), RemoteDisconnected("gone")]
)
async def test_known_keys_outlive_an_outage_of_a_day_and_no_more(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    published = Published("one")
    await published.has("one")
    published.failure = failure

    published.now += 23 * 3600
    assert await published.has("one")
    with pytest.raises(IdentityUnavailableError):  # it may be a new one
        await published.has("two")
    published.now += 3600
    with pytest.raises(IdentityUnavailableError):
        await published.has("one")

    assert type(failure).__name__ in caplog.text

    published.failure = None
    published.now += 11
    assert await published.has("one")


async def test_a_known_key_is_not_waited_for_while_another_asks_an_issuer_that_is_slow() -> None:
    published = Published("one")
    await published.has("one")
    published.now += 3601
    published.answers.clear()
    asking = asyncio.create_task(published.has("one"))
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        assert await published.has("one")

    assert not asking.done()
    published.answers.set()
    assert await asking


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"\xff", b'{"keys": []}', b'{"keys": [{"kty": "RSA", "kid": "one"}]}', b'"x"']
)
async def test_what_is_no_set_of_keys_is_an_outage(body: bytes) -> None:
    published = Published("one")
    published.body = body

    with pytest.raises(IdentityUnavailableError):
        await published.has("one")


async def test_secrets_and_keys_for_other_uses_are_left_out() -> None:
    published = Published("one")
    secret = {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"}
    other = {**SigningKey("other").published, "use": "enc"}
    good = SigningKey("good").published
    published.body = json.dumps({"keys": [secret, other, good, {"kty": "unheard of", "kid": "x"}]}).encode()

    assert [await published.has(key_id) for key_id in ("secret", "other", "good", "x")] == [False, False, True, False]
    assert isinstance(await published.keys.key("good"), jwt.PyJWK)
