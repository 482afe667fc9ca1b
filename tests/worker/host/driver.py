"""Acts as the Functions host for `azure-functions-runtime`, the library inside Azure's Python worker.

Its interface is private, so `requirements-worker.txt` pins it. The host sends it protobuf messages. It gets their
classes from the host and reads fields by name, so plain objects are enough.
"""

import asyncio
import importlib
import json
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx2

from turnlog.local.host.routes import Route, Router, segments_of

_HOST = "127.0.0.1"
_TIMEOUT_SECONDS = 30.0


class Message(SimpleNamespace):
    """A protobuf message."""

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802  # protobuf's name
        """The name of the field that is set. A binding's `name` is not part of the group."""
        return next((field for field in vars(self) if field != "name"), None)


class _BindingInfo(Message):
    undefined = 0
    in_, out, inout = range(3)


class _StatusResult(Message):
    Failure, Success = range(2)


class _Protos:
    """The module of message classes that the host passes to the worker."""

    BindingInfo = _BindingInfo
    StatusResult = _StatusResult

    def __getattr__(self, name: str) -> type[Message]:
        return Message


class FailedError(Exception):
    """The worker answered with this failure. Its stack trace is added as a note."""


@dataclass(frozen=True)
class Function:
    """A function as the worker indexed it and reports it to the host."""

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
    """The worker with an indexed app. A process can have only one, because an app can be indexed only once.

    `http` is a client of the app's HTTP functions, `invoked` the names of all functions that were invoked.
    """

    def __init__(self, runtime: Any, url: str, functions: Mapping[str, Function]) -> None:
        self.functions = functions
        self.durable_client = "{}"
        self.trace_parent = ""
        """The host's span, to which invocations belong."""
        self.invoked: set[str] = set()
        self._runtime = runtime
        self.http = httpx2.AsyncClient(
            transport=_Transport(self), base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False
        )

    async def invoke(self, name: str, value: Message, invocation_id: str | None = None) -> Any:
        """Invoke a function with its trigger's value, and with a durable client if it has one; return its answer.

        Raises:
            FailedError: the function raised.
        """
        answer = await self._request_invocation(name, value, invocation_id)
        return None if answer.return_value is None else json.loads(answer.return_value.json)

    async def outputs(self, name: str, value: Message) -> dict[str, Any]:
        """Invoke a function with its trigger's value; return the data of its output bindings.

        Raises:
            FailedError: the function raised.
        """
        answer = await self._request_invocation(name, value, None)
        return {output.name: output.data for output in answer.output_data}

    async def _request_invocation(self, name: str, value: Message, invocation_id: str | None) -> Any:
        self.invoked.add(name)
        function = self.functions[name]
        client = Message(string=self.durable_client)
        inputs = {function.trigger["name"]: value, **dict.fromkeys(function.names_of("durableClient"), client)}
        request = Message(
            invocation_id=invocation_id or str(uuid4()),
            function_id=function.id,
            input_data=[Message(name=name, data=data) for name, data in inputs.items()],
            trigger_metadata={},
            trace_context=Message(trace_parent=self.trace_parent, trace_state="", attributes={}),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await self._runtime.invocation_request(_request(invocation_request=request))
        _check(answer.result)
        return answer


class _Transport(httpx2.AsyncHTTPTransport):
    """Treats a request like the host: invokes its function, and sends the request itself to the worker's server."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(limits=httpx2.Limits(max_connections=None))
        self._worker = worker
        triggers = [(each, each.trigger) for each in worker.functions.values()]
        self._router = Router(
            [
                Route(trigger["route"], frozenset(trigger["methods"]), function)
                for function, trigger in triggers
                if trigger["type"] == "httpTrigger"
            ]
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path
        match = self._router.find(request.method, segments_of(path.partition(b"?")[0]) or [])
        if match is None:
            return httpx2.Response(404)
        invocation_id = str(uuid4())
        http = Message(
            method=request.method, url=path.decode(), headers={}, query={}, params=match.params, body=Message()
        )
        request.headers["x-ms-invocation-id"] = invocation_id
        invoked = asyncio.create_task(self._worker.invoke(match.target.name, Message(http=http), invocation_id))
        try:
            response = await super().handle_async_request(request)
        except BaseException:
            invoked.cancel()
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Body(response.stream, invoked)
        return response


class _Body(httpx2.AsyncByteStream):
    """The body of a response. After its end, it raises the error of its invocation, if any."""

    def __init__(self, body: httpx2.AsyncByteStream, invoked: asyncio.Task[Any]) -> None:
        self._body = body
        self._invoked = invoked

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._body:
            yield piece
        await self._invoked

    async def aclose(self) -> None:
        await self._body.aclose()
        self._invoked.cancel()


@asynccontextmanager
async def running_worker(app: Path) -> AsyncGenerator[Worker]:
    """Run the worker while the context is open, with the app in the folder `app` indexed.

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
    servers = asyncio.all_tasks() - before  # the worker does not expose the task of its HTTP server
    try:
        url = answer.capabilities["HttpUri"]
        await _wait_until_listening(url)
        worker = Worker(runtime, url, await _index(runtime))
        async with worker.http:
            yield worker
    finally:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # it logs its cancellation as an error
        for server in servers:
            server.cancel()
        await asyncio.gather(*servers, return_exceptions=True)
        runtime.stop_threadpool_executor()


async def _index(runtime: Any) -> dict[str, Function]:
    """Let the worker index the app and load each function, like the host."""
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


async def _wait_until_listening(url: str) -> None:
    port = int(url.rpartition(":")[2])
    async with asyncio.timeout(_TIMEOUT_SECONDS):
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
        error = FailedError(result.exception.message)
        error.add_note(result.exception.stack_trace)
        raise error
