"""A failing timer or reader of the change feed logs its failure, and the failure is raised."""

import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from turnlog.changes.rooms import write_rooms
from turnlog.domain.errors import StoreUnavailableError
from turnlog.orchestrations.timers import sweep
from turnlog.wiring import Services

pytestmark = pytest.mark.anyio


async def test_a_sweep_that_cannot_read_the_store_logs_its_fault_domain(
    app: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def unavailable(*arguments: Any) -> AsyncGenerator[None]:
        raise StoreUnavailableError("The store is away.")
        yield

    monkeypatch.setattr(app.log, "due_for_repair", unavailable)
    with pytest.raises(StoreUnavailableError):
        await sweep(None)  # pyright: ignore[reportArgumentType]  # not used: the read fails first

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == ("turnlog.orchestrations.timers", "sweep failed, a fault of store")


async def test_an_unreadable_batch_of_the_change_feed_is_logged(
    app: Services, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyError):
        await write_rooms([{"id": "e:1"}])  # pyright: ignore[reportArgumentType]  # not a stored document

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == ("turnlog.changes.rooms", "write_rooms failed, a fault of app")
