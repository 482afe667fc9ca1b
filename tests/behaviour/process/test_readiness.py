"""Anyone may ask whether the service is ready. The answer says only which part fails, and costs little."""

import asyncio

import pytest

from turnlog.domain.errors import StoreUnavailableError
from turnlog.services.readiness import Readiness

pytestmark = pytest.mark.anyio

REASON = "no file /srv/data: Bearer abc.def-1"


class Part:
    """A part that counts how often it is asked. It fails with `error`, if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


async def test_many_who_ask_at_once_share_one_check() -> None:
    readiness, store = Readiness(), Part()

    answers = await asyncio.gather(*(readiness.check({"store": store}) for _ in range(100)))

    assert store.asked == 1
    assert answers == [{"store": True}] * 100


async def test_a_result_is_kept_for_five_seconds_also_a_bad_one() -> None:
    now = 100.0
    readiness, store = Readiness(lambda: now), Part(StoreUnavailableError("away"))
    assert await readiness.check({"store": store}) == {"store": False}
    store.error = None

    now = 104.9
    assert await readiness.check({"store": store}) == {"store": False}
    now = 105.0
    assert await readiness.check({"store": store}) == {"store": True}

    assert store.asked == 2


async def test_after_one_who_asked_is_gone_the_next_one_gets_an_answer() -> None:
    readiness, store = Readiness(), Part()
    first = asyncio.create_task(readiness.check({"store": store}))
    await asyncio.sleep(0)
    first.cancel()

    assert await readiness.check({"store": store}) == {"store": True}


@pytest.mark.parametrize("error", [StoreUnavailableError(REASON), OSError(REASON)])
async def test_the_reason_is_in_the_log_without_keys(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    readiness = Readiness()

    assert await readiness.check({"store": Part(error), "model": Part()}) == {"store": False, "model": True}

    assert "/srv/data" in caplog.text
    assert "abc.def" not in caplog.text
