"""A store as it is told of: a span, the time and the request units of each operation, and what its appends say."""

import inspect
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

from opentelemetry.trace import Span, SpanKind

from shared.domain.chunks import Chunk
from shared.domain.documents import AnyDocument
from shared.domain.errors import RevisionTakenError, SequenceTakenError
from shared.domain.faults import code_of
from shared.domain.session import SessionState
from shared.stores.charges import Charge, charged
from shared.telemetry import names, turns
from shared.telemetry.recorder import Telemetry, error, failed, is_traced

Store = TypeVar("Store")

# To lose a race is how writers find each other, and no failure of the store.
_ORDINARY = (SequenceTakenError, RevisionTakenError)


def observed(on: Telemetry, store: Store, system: str, collection: str) -> Store:
    """`store`, every operation of which is told of."""
    return cast("Store", _Observed(on, store, {names.STORE: system, names.COLLECTION: collection}))


def unobserved(store: Store) -> Store:
    """The store itself: for whoever writes again what has been told of before."""
    return cast("Store", store.itself) if isinstance(store, _Observed) else store


class _Observed:
    """Stands for a store, whichever port it fills: what is a coroutine there is an operation here."""

    def __init__(self, on: Telemetry, store: Any, whose: dict[str, str]) -> None:
        self.itself = store
        self._on = on
        self._whose = whose

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.itself, name)
        return self._told(name, found) if inspect.iscoroutinefunction(found) else found

    async def append(
        self, chunk: Chunk, checkpoint: SessionState | None = None, documents: Sequence[AnyDocument] = ()
    ) -> None:
        is_flush = turns.is_flush(chunk)
        with self._operation("flush" if is_flush else "append", traced=not is_flush):
            await self.itself.append(chunk, checkpoint, documents)
        turns.appended(self._on, chunk, documents)

    @contextmanager
    def watch(self, *place: Any, **how: Any) -> Generator[Any]:
        with self.itself.watch(*place, **how) as ear:
            yield _ObservedEar(self._on, ear, self._whose)

    def _told(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        async def run(*given: Any, **named: Any) -> Any:
            with self._operation(name):
                return await method(*given, **named)

        return run

    @contextmanager
    def _operation(self, name: str, *, traced: bool = True) -> Generator[None]:
        whose = {**self._whose, names.STORE_OPERATION: name}
        span = self._span(name, whose) if traced and is_traced() else None
        began, problem = time.perf_counter(), dict[str, str]()
        with charged() as charge:
            try:
                yield
            except Exception as raised:
                problem = error(code_of(raised))
                if span is not None and not isinstance(raised, _ORDINARY):
                    failed(span, problem[names.ERROR])
                raise
            finally:
                self._on.record(names.STORE_SECONDS, time.perf_counter() - began, whose | problem)
                _told_charge(self._on, charge, whose)
                if span is not None:
                    span.set_attributes(problem | ({names.CHARGE: charge.units} if charge.units else {}))
                    span.end()

    def _span(self, name: str, whose: dict[str, str]) -> Span:
        return self._on.start(f"{name} {whose[names.COLLECTION]}", whose, kind=SpanKind.CLIENT)


class _ObservedEar:
    """A wait for news is no operation, but where it polls it costs."""

    def __init__(self, on: Telemetry, ear: Any, whose: dict[str, str]) -> None:
        self._on = on
        self._ear = ear
        self._whose = {**whose, names.STORE_OPERATION: "poll"}

    async def wait(self, *given: Any, **named: Any) -> Any:
        with charged() as charge:
            try:
                return await self._ear.wait(*given, **named)
            finally:
                _told_charge(self._on, charge, self._whose)


def _told_charge(on: Telemetry, charge: Charge, whose: dict[str, str]) -> None:
    if charge.units:
        on.record(names.STORE_CHARGE, charge.units, whose)
