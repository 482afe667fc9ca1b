"""Every name in telemetry: OpenTelemetry's own if there is one, `turnlog.*` otherwise."""

from dataclasses import dataclass
from typing import Literal

# Attributes (opentelemetry.io/docs/specs/semconv; the GenAI ones are still in development there).
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
AGENT = "gen_ai.agent.name"
SESSION = "gen_ai.conversation.id"
MODEL = "gen_ai.request.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105
TOOL = "gen_ai.tool.name"
TOOL_CALL = "gen_ai.tool.call.id"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"
ERROR = "error.type"
METHOD = "http.request.method"
ROUTE = "http.route"
STATUS = "http.response.status_code"
STORE = "db.system.name"
STORE_OPERATION = "db.operation.name"
COLLECTION = "db.collection.name"
CHARGE = "azure.cosmosdb.operation.request_charge"
FAULT_DOMAIN = "turnlog.fault_domain"
OUTCOME = "turnlog.outcome"
TURN = "turnlog.turn_id"
POSTED_MESSAGE = "turnlog.message_id"
INSTANCE = "turnlog.instance_id"
STEP = "turnlog.step"
STEPS = "turnlog.steps"
ATTEMPT = "turnlog.attempt"
AFTER = "turnlog.after"
FIRST_EVENT = "turnlog.time_to_first_event"
FLUSHES = "turnlog.flushes"
RESUMED = "turnlog.resumed"


@dataclass(frozen=True)
class Instrument:
    """The kind and the unit of a metric. `buckets` are the bounds of a histogram."""

    kind: Literal["counter", "updown", "histogram"]
    unit: str
    description: str
    buckets: tuple[float, ...] = ()


_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
_TOKENS = tuple(float(4**power) for power in range(14))
_UNITS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)

TOKENS = "gen_ai.client.token.usage"
MODEL_SECONDS = "gen_ai.client.operation.duration"
FIRST_CHUNK_SECONDS = "gen_ai.client.operation.time_to_first_chunk"
TURN_SECONDS = "gen_ai.invoke_agent.duration"
TOOL_SECONDS = "gen_ai.execute_tool.duration"
STORE_SECONDS = "db.client.operation.duration"
STORE_CHARGE = "azure.cosmosdb.client.operation.request_charge"
TURNS = "turnlog.turns"
TOOL_CALLS = "turnlog.tool_calls"
START_SECONDS = "turnlog.time_to_start"
FIRST_EVENT_SECONDS = "turnlog.time_to_first_event"
FLUSHED = "turnlog.flushes"
ACTIVE_MODEL_CALLS = "turnlog.model_calls.active"
ACTIVE_STREAMS = "turnlog.streams.active"
OPENED_STREAMS = "turnlog.streams.opened"

METRICS = {
    TOKENS: Instrument("histogram", "{token}", "tokens of a model call, by model, agent and token type", _TOKENS),
    MODEL_SECONDS: Instrument("histogram", "s", "a model call, until its stream ends", _SECONDS),
    FIRST_CHUNK_SECONDS: Instrument("histogram", "s", "from a model call to its first text", _SECONDS),
    TURN_SECONDS: Instrument("histogram", "s", "a turn, from its start to run.complete", _SECONDS),
    TOOL_SECONDS: Instrument("histogram", "s", "a run of a tool", _SECONDS),
    STORE_SECONDS: Instrument("histogram", "s", "a store operation with its retries", _SECONDS),
    STORE_CHARGE: Instrument("histogram", "{request_unit}", "request units of a store operation", _UNITS),
    TURNS: Instrument("counter", "{turn}", "ended turns, by outcome, agent, model, error and fault domain"),
    TOOL_CALLS: Instrument("counter", "{call}", "answered tool calls, by tool and outcome"),
    START_SECONDS: Instrument(
        "histogram", "s", "from a turn's start to its first model call: the wait for a place", _SECONDS
    ),
    FIRST_EVENT_SECONDS: Instrument("histogram", "s", "from a turn's start to its first text in the log", _SECONDS),
    FLUSHED: Instrument("counter", "{write}", "writes that hold only pieces of answers"),
    ACTIVE_MODEL_CALLS: Instrument("updown", "{call}", "model calls in progress"),
    ACTIVE_STREAMS: Instrument("updown", "{stream}", "open event streams"),
    OPENED_STREAMS: Instrument("counter", "{stream}", "opened event streams, new and resumed ones"),
}
