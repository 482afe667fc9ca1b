"""Observed stores: a span, the duration and the request units of each operation, and the metrics of each append."""

import inspect
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar, cast

from opentelemetry.trace import Span, SpanKind

from turnlog.domain.chunks import Chunk
from turnlog.domain.errors import RevisionTakenError, SequenceTakenError
from turnlog.domain.faults import code_of
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import AnyDocument
from turnlog.ports import Tail
from turnlog.stores import Stores
from turnlog.stores.charges import Charge, charged
from turnlog.telemetry import names, turns
from turnlog.telemetry.recorder import Telemetry, error_attributes, is_traced, mark_failed

Store = TypeVar("Store")

# Writers find each other by losing races, so a lost race is not a failure of the store.
_EXPECTED = (SequenceTakenError, RevisionTakenError)


def observed_stores(telemetry: Telemetry, stores: Stores, system: str) -> Stores:
    """`stores`, whose operations are recorded in `telemetry`."""

    def observed(store: Store, collection: str) -> Store:
        return cast("Store", _Observed(telemetry, store, {names.STORE: system, names.COLLECTION: collection}))

    writer = None if stores.room_writer is None else observed(stores.room_writer, "rooms")
    return Stores(
        observed(stores.log, "sessions"),
        observed(stores.projects, "projects"),
        observed(stores.rooms, "rooms"),
        writer,
    )


def unobserved(store: Store) -> Store:
    """The store itself, for copying what was recorded when it first happened."""
    return cast("Store", store.itself) if isinstance(store, _Observed) else store


class _Observed:
    """Replaces a store of any port. Each of its coroutine functions is one operation."""

    def __init__(self, telemetry: Telemetry, store: Any, attributes: dict[str, str]) -> None:
        self.itself = store
        self._telemetry = telemetry
        self._attributes = attributes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.itself, name)
        return self._recorded(name, found) if inspect.iscoroutinefunction(found) else found

    async def append(
        self, chunk: Chunk, checkpoint: SessionState | None = None, documents: Sequence[AnyDocument] = ()
    ) -> None:
        is_flush = turns.is_flush(chunk)
        with self._operation("flush" if is_flush else "append", traced=not is_flush):
            await self.itself.append(chunk, checkpoint, documents)
        turns.record_append(self._telemetry, chunk, documents)

    @contextmanager
    def watch(self, key: Any, /, *, polls: bool = True) -> Generator["_ObservedTail"]:
        with self.itself.watch(key, polls=polls) as tail:
            yield _ObservedTail(self._telemetry, tail, self._attributes)

    def _recorded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        async def run(*args: Any, **kwargs: Any) -> Any:
            with self._operation(name):
                return await method(*args, **kwargs)

        return run

    @contextmanager
    def _operation(self, name: str, *, traced: bool = True) -> Generator[None]:
        attributes = {**self._attributes, names.STORE_OPERATION: name}
        span = self._span(name, attributes) if traced and is_traced() else None
        began, problem = time.perf_counter(), dict[str, str]()
        with charged() as charge:
            try:
                yield
            except Exception as raised:
                problem = error_attributes(code_of(raised))
                if span is not None and not isinstance(raised, _EXPECTED):
                    mark_failed(span, problem[names.ERROR])
                raise
            finally:
                self._telemetry.record(names.STORE_SECONDS, time.perf_counter() - began, attributes | problem)
                _record_charge(self._telemetry, charge, attributes)
                if span is not None:
                    span.set_attributes(problem | ({names.CHARGE: charge.units} if charge.units else {}))
                    span.end()

    def _span(self, name: str, attributes: dict[str, str]) -> Span:
        return self._telemetry.start(f"{name} {attributes[names.COLLECTION]}", attributes, kind=SpanKind.CLIENT)


class _ObservedTail:
    """A wait is not an operation, but if it polls it has a cost."""

    def __init__(self, telemetry: Telemetry, tail: Tail[Any], attributes: dict[str, str]) -> None:
        self._telemetry = telemetry
        self._tail = tail
        self._attributes = {**attributes, names.STORE_OPERATION: "poll"}

    async def wait(self, after: int, timeout: timedelta, ignores: Callable[[Any], bool] | None = None) -> Sequence[Any]:
        with charged() as charge:
            try:
                return await self._tail.wait(after, timeout, ignores)
            finally:
                _record_charge(self._telemetry, charge, self._attributes)


def _record_charge(telemetry: Telemetry, charge: Charge, attributes: dict[str, str]) -> None:
    if charge.units:
        telemetry.record(names.STORE_CHARGE, charge.units, attributes)
