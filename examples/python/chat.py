"""A chat in the terminal, with the standard library only: python examples/python/chat.py [--agent raffle] [session]."""

import argparse
import http.client
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

RETRY_SECONDS = 1.0


class Chat:
    """A session, and how far this program has read its log."""

    def __init__(self, url: str, session_id: str) -> None:
        self._url = f"{url}/sessions/{session_id}"
        self._cursor = "0"

    def send(self, content: str, agent: str | None) -> None:
        """Post a message and print its turn while it is written."""
        # A POST whose answer is lost is sent again: with the same key, it finds the message that it posted.
        message = self._post("/messages", {"content": content, "agent": agent}, {"prefer": "respond-async"})
        self._cursor = str(message["sequence"] - 1)
        for kind, data in self._events():
            if data.get("turn_id") == message["turn_id"]:
                self._show(kind, data)
            if kind == "run.complete" and data["turn_id"] == message["turn_id"]:
                return

    def _show(self, kind: str, data: dict[str, Any]) -> None:
        match kind:
            case "message.start" if data["attempt"] > 1:
                print("\n[the step starts again]")
            case "message.delta":
                print(data["text"], end="", flush=True)
            case "tool_call.complete":
                print(f"[{data['name']} returned {json.dumps(data['response'])}]")
            case "tool_call.action_required" if data["kind"] == "approval":
                answer = input(f"[{data['name']} {data['arguments']}: run it? y/n] ")
                decision = "approve" if answer.strip().lower() == "y" else "deny"
                self._post(f"/tool_calls/{data['id']}/approval", {"decision": decision})
            case "tool_call.action_required":
                self._post(
                    f"/tool_calls/{data['id']}/result", {"result": input(f"[{data['name']} {data['arguments']}] ")}
                )
            case "run.complete":
                error = data.get("error")
                print(f"\n[{error['message'] if error else data['status']}]")
            case _:
                pass

    def _events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events after the cursor. A stream that breaks is opened again where it ended."""
        while True:
            request = urllib.request.Request(f"{self._url}/stream", headers={"last-event-id": self._cursor})
            try:
                with urllib.request.urlopen(request) as stream:
                    for frame_id, kind, data in frames_of(stream):
                        self._cursor = frame_id
                        if data.get("origin") != "outside":  # events of other producers are not part of an answer
                            yield kind, data
            except urllib.error.HTTPError as refusal:
                sys.exit(f"refused: {refusal.read().decode()}")
            except (OSError, http.client.HTTPException):
                time.sleep(RETRY_SECONDS)

    def _post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        return post(self._url + path, body, headers)


def frames_of(stream: http.client.HTTPResponse) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The id, the type and the data of each frame; an empty line ends a frame."""
    frame: dict[str, str] = {}
    for line in stream:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            frame[name] = value
        elif "data" in frame and "id" in frame:
            yield frame["id"], frame["event"], json.loads(frame["data"])
        if not name:
            frame = {}


def post(url: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    sent = {"content-type": "application/json", "idempotency-key": str(uuid.uuid4()), **(headers or {})}
    request = urllib.request.Request(url, json.dumps(body).encode(), sent, method="POST")
    while True:
        try:
            with urllib.request.urlopen(request) as response:
                return json.load(response)
        except urllib.error.HTTPError as refusal:
            problem = json.load(refusal)
            if not problem["retryable"]:
                sys.exit(f"refused: {problem['detail']}")
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(RETRY_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Chat with an agent.")
    parser.add_argument("--url", default="http://127.0.0.1:7071")
    parser.add_argument("--agent")
    parser.add_argument("session", nargs="?", help="a session that exists; by default a new one")
    options = parser.parse_args()
    session_id = options.session or post(f"{options.url}/sessions", {})["session_id"]
    print(f"session {session_id}; an empty line ends the chat")
    chat = Chat(options.url, session_id)
    while content := input("> ").strip():
        chat.send(content, options.agent)


if __name__ == "__main__":
    try:
        main()
    except (EOFError, KeyboardInterrupt):
        print()
