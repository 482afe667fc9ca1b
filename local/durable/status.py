"""What a status query shows of an instance, in the form of the Durable extension."""

import json
from typing import Any

from local.durable.history import Event, Kind
from local.durable.taskhub import Row


def status_of(row: Row, *, with_input: bool) -> dict[str, Any]:
    """Return the status that the SDK makes a `DurableOrchestrationStatus` of."""
    return {
        "name": row.name,
        "instanceId": row.id,
        "runtimeStatus": row.status,
        "input": json.loads(row.input) if with_input else None,
        "customStatus": json.loads(row.custom_status),
        "output": json.loads(row.output),
        "createdTime": row.created,
        "lastUpdatedTime": row.updated,
    }


def history_of(episodes: list[str], *, with_input: bool, with_output: bool) -> list[Event]:
    """Return the history as queries show it: a start and its end are one entry, and episodes leave no trace."""
    shown: list[Event] = []
    opened: dict[int, Event] = {}
    for event in (event for episode in episodes for event in json.loads(episode)):
        entry = _entry(event, opened, with_input=with_input, with_output=with_output)
        if entry is not None:
            shown.append(entry)
    return [entry for entry in shown if not entry.pop("ended", False)]


def _entry(event: Event, opened: dict[int, Event], *, with_input: bool, with_output: bool) -> Event | None:
    kind = Kind(event["EventType"])
    entry: Event = {"EventType": _NAMES.get(kind), "Timestamp": event["Timestamp"]}
    match kind:
        case Kind.EXECUTION_STARTED:
            entry |= {"FunctionName": event["Name"]} | ({"Input": event["Input"]} if with_input else {})
        case Kind.TASK_SCHEDULED:
            opened[event["EventId"]] = entry
            entry |= {"FunctionName": event["Name"]} | ({"Input": event["Input"]} if with_input else {})
        case Kind.TIMER_CREATED:
            opened[event["EventId"]] = entry
            entry |= {"FireAt": event["FireAt"]}
        case Kind.TASK_COMPLETED | Kind.TASK_FAILED | Kind.TIMER_FIRED:
            start = opened[event["TimerId"] if kind == Kind.TIMER_FIRED else event["TaskScheduledId"]]
            start["ended"] = True
            entry |= {"ScheduledTime": start["Timestamp"]}
            entry |= {name: start[name] for name in ("FunctionName", "FireAt") if name in start}
            entry |= {name: event[name] for name in ("Reason", "Details") if name in event}
            if with_output and "Result" in event:
                entry["Result"] = json.loads(event["Result"])
        case Kind.EXECUTION_COMPLETED:
            entry |= {"OrchestrationStatus": event["OrchestrationStatus"]}
            entry |= {"Result": event["Result"]} if with_output else {}
        case Kind.EXECUTION_TERMINATED:
            entry |= {"Input": event["Input"]}
        case _:
            return None
    return entry


_NAMES = {
    Kind.EXECUTION_STARTED: "ExecutionStarted",
    Kind.EXECUTION_COMPLETED: "ExecutionCompleted",
    Kind.EXECUTION_TERMINATED: "ExecutionTerminated",
    Kind.TASK_SCHEDULED: "TaskScheduled",
    Kind.TASK_COMPLETED: "TaskCompleted",
    Kind.TASK_FAILED: "TaskFailed",
    Kind.TIMER_CREATED: "TimerCreated",
    Kind.TIMER_FIRED: "TimerFired",
}
