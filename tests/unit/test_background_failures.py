"""A timer or a reader of the change feed that fails says so in the log, and stays failed."""

import logging
from typing import Any

import pytest

from changes.rooms import write_rooms
from orchestrations.sweep import sweep
from shared.domain.errors import StoreUnavailableError
from shared.wiring import Services

pytestmark = pytest.mark.anyio


async def test_a_sweep_that_can_not_read_the_store_is_logged_with_its_fault_domain(
    on: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*given: Any) -> None:
        raise StoreUnavailableError("The store is away.")

    monkeypatch.setattr(on.log, "due_for_repair", away)
    with pytest.raises(StoreUnavailableError):
        await sweep(None)  # pyright: ignore[reportArgumentType]  # it gets no further

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == ("orchestrations.sweep", "sweep failed, a fault of store")


async def test_a_batch_of_the_change_feed_that_can_not_be_read_is_logged(
    on: Services, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyError):
        await write_rooms([{"id": "e:1"}])  # pyright: ignore[reportArgumentType]  # no document of the store's

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == ("changes.rooms", "write_rooms failed, a fault of app")
