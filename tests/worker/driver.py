"""Drives `azure-functions-runtime`, the library inside Azure's Python worker, in the place of the Functions host.

Its interface is private, so `requirements-worker.txt` pins it. The host speaks to it in protobuf messages, whose
classes it is handed and whose fields it reads by name: plain objects do.
"""

import asyncio
import importlib
import json
import logging
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx2

from local.routes import Route, Router, segments_of

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 10.0


class Message(SimpleNamespace):
    """A protobuf message."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802  # protobuf's name
        """The one field that is set of those that exclude each other; a binding's `name` is none of them."""
        return next((field for field in vars(self) if field != "name"), None)


class _BindingInfo(Message):
    undefined = 0
    in_, out, inout = range(3)


class _StatusResult(Message):
    Failure, Success = range(2)


class _Protos:
    """The module of message classes that the host hands over."""

    BindingInfo = _BindingInfo
    StatusResult = _StatusResult

    def __getattr__(self, name: str) -> type[Message]:
        return Message


class FailedError(Exception):
    """The worker answers that it failed; the text is its stack trace."""


@dataclass(frozen=True)
class Function:
    """A function as the worker indexed it: what it would tell the host."""

    name: str
    id: str
    bindings: tuple[dict[str, Any], ...]
    retries: Any = None

    @property
    def trigger(self) -> dict[str, Any]:
        (trigger,) = (each for each in self.bindings if each["type"].endswith("Trigger"))
        return trigger

    def names_of(self, kind: str) -> list[str]:
        return [each["name"] for each in self.bindings if each["type"] == kind]


class Worker:
    """The worker with an app indexed. There is one in a process, since an app can be indexed once only."""

    def __init__(self, runtime: Any, url: str, functions: Mapping[str, Function], http: httpx2.AsyncClient) -> None:
        self.functions = functions
        self.durable_client = "{}"
        self._runtime = runtime
        self._url = url
        self._http = http
        self._router = Router(
            [
                Route(each.trigger["route"], frozenset(each.trigger["methods"]), each)
                for each in functions.values()
                if each.trigger["type"] == "httpTrigger"
            ]
        )

    async def invoke(self, name: str, value: Message, invocation_id: str | None = None) -> Any:
        """Invoke a function with its trigger's value, and the durable client where it asks for one; its JSON answer.

        Raises:
            FailedError: the function raised.
        """
        answer = await self._invoked(name, value, invocation_id)
        return None if answer.return_value is None else json.loads(answer.return_value.json)

    async def outputs(self, name: str, value: Message) -> dict[str, Any]:
        """Invoke a function with its trigger's value; what its output bindings are given.

        Raises:
            FailedError: the function raised.
        """
        answer = await self._invoked(name, value, None)
        return {output.name: output.data for output in answer.output_data}

    async def _invoked(self, name: str, value: Message, invocation_id: str | None) -> Any:
        function = self.functions[name]
        client = Message(string=self.durable_client)
        given = {function.trigger["name"]: value, **dict.fromkeys(function.names_of("durableClient"), client)}
        request = Message(
            invocation_id=invocation_id or str(uuid4()),
            function_id=function.id,
            input_data=[Message(name=name, data=data) for name, data in given.items()],
            trigger_metadata={},
            trace_context=Message(trace_parent="", trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await self._runtime.invocation_request(_request(invocation_request=request))
        _check(answer.result)
        return answer

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Send a request as `stream` does, and read the whole response."""
        async with self.stream(method, path, **options) as response:
            await response.aread()
        return response

    @asynccontextmanager
    async def stream(self, method: str, path: str, **options: Any) -> AsyncGenerator[httpx2.Response]:
        """Find the function by its route and invoke it, and send its request to the worker's own HTTP server.

        Raises:
            FailedError: the function raised.
        """
        match = self._router.find(method, segments_of(path.partition("?")[0].encode()) or [])
        assert match is not None, f"no function answers {method} {path}"
        invocation_id = str(uuid4())
        http = Message(method=method, url=path, headers={}, query={}, params=match.params, body=Message())
        sent = {**options.pop("headers", {}), "x-ms-invocation-id": invocation_id}
        invocation = asyncio.create_task(self.invoke(match.target.name, Message(http=http), invocation_id))
        try:
            async with self._http.stream(method, self._url + path, headers=sent, **options) as response:
                yield response
            await invocation
        finally:
            invocation.cancel()


@asynccontextmanager
async def running_worker(app: Path) -> AsyncGenerator[Worker]:
    """Start the worker, have it index the app in the folder `app`, and stop it at the end.

    Raises:
        FailedError: the app can't be indexed.
    """
    runtime: Any = importlib.import_module("azure_functions_runtime")
    if str(app) not in sys.path:
        sys.path.insert(0, str(app))
    before = asyncio.all_tasks()
    runtime.start_threadpool_executor()
    init = Message(capabilities={}, function_app_directory=str(app))
    answer = await runtime.worker_init_request(_request(worker_init_request=init))
    _check(answer.result)
    servers = asyncio.all_tasks() - before  # it keeps the task of its HTTP server to itself
    try:
        url = answer.capabilities["HttpUri"]
        await _listening(url)
        async with httpx2.AsyncClient(timeout=_PATIENCE_SECONDS) as http:
            yield Worker(runtime, url, await _indexed(runtime), http)
    finally:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it reports its being cancelled as an error
        for server in servers:
            server.cancel()
        await asyncio.gather(*servers, return_exceptions=True)
        runtime.stop_threadpool_executor()


async def _indexed(runtime: Any) -> dict[str, Function]:
    """What the worker indexed, loaded as the host does after reading it."""
    metadata = await runtime.functions_metadata_request(_request())
    _check(metadata.result)
    functions: dict[str, Function] = {}
    for each in metadata.function_metadata_results:
        bindings = tuple(json.loads(binding) for binding in each.raw_bindings)
        functions[each.name] = Function(each.name, each.function_id, bindings, each.retry_options)
        loaded = await runtime.function_load_request(
            _request(function_load_request=Message(function_id=each.function_id))
        )
        _check(loaded.result)
    return functions


async def _listening(url: str) -> None:
    port = int(url.rpartition(":")[2])
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            try:
                _, writer = await asyncio.open_connection(_HOST, port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return


def _request(**content: Message) -> Message:
    return Message(request=Message(**content), properties={"host": _HOST, "protos": _Protos()})


def _check(result: Any) -> None:
    if result.status != _StatusResult.Success:
        raise FailedError(f"{result.exception.message}\n{result.exception.stack_trace}")
