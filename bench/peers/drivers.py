"""One turn of each system in a session that it creates: the request, and how its answer is read and checked."""

import math
import time
from urllib.parse import urlencode

from bench.client import EVENT_STREAM, AnswerError, Connection
from bench.load_driver import Timing, time_answer

CONTENT = "Tell me something short."
_FIRST_TOKEN = b'"content":"Scripted'  # of the scripted model


async def run_turnlog(connection: Connection, session_id: str) -> Timing:
    """Create a session, post a message, read its stream to the end.

    Raises:
        AnswerError: the turn did not complete; so for each of these functions.
    """
    began = time.perf_counter()
    await connection.ask("POST", "/sessions", {"session_id": session_id}, expect=201)
    await connection.begin_stream("POST", f"/sessions/{session_id}/messages", {"content": CONTENT}, EVENT_STREAM)
    timing, last = await time_answer(connection, began, b"id: ", b"event: message.delta\n")
    _require(b'"status":"completed"' in last and b"event: done\n" in last, last)
    return timing


async def run_agno(connection: Connection, session_id: str) -> Timing:
    """Run the agent within the request: the end of the connection ends the run."""
    return await _run_agno(connection, session_id, background="false")


async def run_agno_in_background(connection: Connection, session_id: str) -> Timing:
    """Run the agent in a task of its own, whose stream can be resumed."""
    return await _run_agno(connection, session_id, background="true")


async def run_restate(connection: Connection, session_id: str) -> Timing:
    """Call a durable handler that asks the model for a whole answer."""
    return await _run_restate(connection, f"/Chat/{session_id}/message")


async def run_restate_on_stream(connection: Connection, session_id: str) -> Timing:
    """Call a durable handler that reads the model's stream, as the other systems do."""
    return await _run_restate(connection, f"/Chat/{session_id}/message_from_stream")


async def _run_restate(connection: Connection, path: str) -> Timing:
    """Wait for the whole answer: nothing comes before it, so those times are not numbers."""
    began = time.perf_counter()
    answer = await connection.ask("POST", path, CONTENT)
    _require(isinstance(answer, str) and answer.startswith("Scripted"), str(answer).encode())
    return Timing(math.nan, math.nan, 1000 * (time.perf_counter() - began))


async def _run_agno(connection: Connection, session_id: str, *, background: str) -> Timing:
    form = {"message": CONTENT, "stream": "true", "session_id": session_id, "background": background}
    began = time.perf_counter()
    await connection.begin_stream(
        "POST",
        "/agents/assistant/runs",
        urlencode(form).encode(),
        {"content-type": "application/x-www-form-urlencoded"},
    )
    timing, last = await time_answer(connection, began, b"event: ", _FIRST_TOKEN)
    _require(b"event: RunCompleted\n" in last, last)
    return timing


def _require(complete: bool, last: bytes) -> None:  # noqa: FBT001 - a condition, not an option
    if not complete:
        raise AnswerError(f"the turn did not complete: {last[-500:].decode()}")
