"""Another OpenAI-compatible model server, with other habits: written with the standard library only.

It shares no code with turnlog/local/. Its lines end with CRLF and have no space after `data:`. A tool call comes whole and
without an index, `content` is null, usage is in the last chunk that has a choice, a comment comes first, and its ids
have an unusual form. If the length of the content is odd, it first proposes a patch that cannot be applied. After the
refusal, or else at once, it proposes a valid one: with a test operation, with a copy, or with a new node.
"""

import itertools
import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

_numbers = itertools.count(1)


@contextmanager
def foreign_model() -> Generator[str]:
    """Serve while the body runs; yields the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/inference/v9"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass

    def do_GET(self) -> None:
        self._answer(200, "application/json", b'{"data": [{"id": "elsewhere-1"}]}')

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        problem = _problem(request)
        if problem is not None:
            self._answer(400, "application/json", json.dumps({"error": {"message": problem}}).encode())
            return
        lines = [": here it comes", *(f"data:{json.dumps(chunk)}" for chunk in _chunks(request)), "data:[DONE]"]
        self._answer(200, "text/event-stream; charset=utf-8", "".join(f"{line}\r\n\r\n" for line in lines).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _problem(request: dict[str, Any]) -> str | None:
    """Return why the conversation is refused: a call without an answer, as with most servers."""
    messages: list[dict[str, Any]] = request["messages"]
    called: list[str] = [call["id"] for message in messages for call in message.get("tool_calls", [])]
    answered = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
    return None if called == answered else f"calls {called} were answered by {answered}"


def _chunks(request: dict[str, Any]) -> list[dict[str, Any]]:
    patch = _plan_patch(request)
    head = {"id": f"gen/{next(_numbers)}", "provider": "elsewhere", "model": request["model"]}
    usage = {"usage": {"prompt_tokens": 11, "completion_tokens": 7}}
    if patch is None:
        deltas = [{"content": None, "role": "assistant"}, {"content": "Fertig: "}, {"content": "das Dokument steht."}]
        *before, last = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        return [
            *({**head, "choices": [each]} for each in before),
            {**head, "choices": [{**last, "finish_reason": "stop"}], **usage},
        ]
    function = {"name": "propose_patch", "arguments": json.dumps({"patch": patch}, indent=1)}
    call = {"id": "functions.propose_patch:0", "type": "function", "function": function}
    delta = {"role": "assistant", "content": None, "tool_calls": [call]}
    return [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls"}], **usage}]


def _plan_patch(request: dict[str, Any]) -> list[dict[str, Any]] | None:
    names = [tool["function"]["name"] for tool in request.get("tools", [])]
    if "propose_patch" not in names or request.get("tool_choice") == "none":
        return None
    *_, last = (index for index, message in enumerate(request["messages"]) if message["role"] == "user")
    results = [message["content"] for message in request["messages"][last:] if message["role"] == "tool"]
    if any("project_revision" in result for result in results):
        return None
    content = request["messages"][last]["content"]
    if len(content) % 2 and not results:
        return [{"op": "remove", "path": "/nodes/there is no such node"}]
    return _valid_patch(content, request["messages"][0]["content"])


def _valid_patch(content: str, system: str) -> list[dict[str, Any]]:
    line = next(line for line in system.splitlines() if line.startswith("{"))
    nodes = json.loads(line)["nodes"]
    scope = system.rpartition("only the node ")[2] if "only the node " in system.rpartition(line)[2] else None
    name = "clone" if scope is None else json.loads(scope.rstrip(".\n"))
    path = "/nodes/" + name.replace("~", "~0").replace("/", "~1")
    if scope is None and nodes:
        first = next(iter(nodes)).replace("~", "~0").replace("/", "~1")
        copied = {"op": "copy", "from": f"/nodes/{first}", "path": path}
        return [copied, {"op": "add", "path": f"{path}/instructions", "value": content}]
    if name in nodes:
        test = {"op": "test", "path": path, "value": nodes[name]}
        return [test, {"op": "add", "path": f"{path}/instructions", "value": content}]
    return [{"op": "add", "path": path, "value": {"name": "From elsewhere", "instructions": content}}]
