/** The events of a session's log, as the stream sends them. */

import type { Content } from "./options.js";
import type { Failure, Usage } from "./values.js";

export interface StepData {
  readonly step: number;
  readonly attempt: number;
}

/** The data of each type, besides the ids that are beside it in the event. */
export interface EventDataByType {
  "session.created": { thread_id: string; session_name: string | null; agent_name: string | null; project_id: string | null };
  "session.updated": { session_name?: string | null; agent_name?: string | null; archived?: boolean };
  "session.deleted": object;
  user_message: { content: Content; text: string; client_id?: string | null };
  "message.queued": { content: Content; text: string; on_busy: OnBusy; client_id?: string | null };
  "message.withdrawn": object;
  "run.start": { agent: string; model: string };
  "run.handover": { instance_id: string };
  "message.start": StepData;
  "message.delta": StepData & { text: string };
  "reasoning.delta": StepData & { text: string };
  "tool_call.delta": StepData & { id: string; name: string; arguments: string };
  "message.complete": StepData & {
    text: string;
    reasoning: string | null;
    partial: boolean;
    finish_reason: string | null;
    truncated: boolean;
  };
  token_usage: Usage & { cached_tokens: number; reasoning_tokens: number; model: string; agent: string; iteration: number; cost?: number };
  "tool_call.start": StepData & { id: string; name: string; arguments: string };
  "tool_call.complete": {
    id: string;
    step: number;
    name: string;
    arguments: string;
    status: "completed" | "failed" | "cancelled" | "denied";
    response: unknown;
    duration_ms: number;
    truncated: boolean;
  };
  "tool_call.action_required": { id: string; kind: ActionKind; name: string; arguments: string; expires_at: string };
  "tool_call.action": { id: string; decision: "approve" | "deny" | "result"; by: string; reason: string | null };
  vibecode_response: { patch: object[] | null; token_usage: Usage; project_revision: number };
  status: { status: "cancelling" | "stalled"; reason: string | null };
  error: { message: string; code: string; retryable: boolean; retry_after: number | null };
  "run.complete": {
    status: "completed" | "failed" | "cancelled";
    steps: number;
    usage: Usage;
    /** In the currency of the service's prices, if the model has a price. */
    cost?: number;
    duration_ms: number;
    model: string;
    error: Failure | null;
  };
}

export type EventType = keyof EventDataByType;
export type OnBusy = "enqueue" | "reject" | "interrupt" | "steer";
export type ActionKind = "approval" | "client_tool";

/** What every event has. `sequence` is its position in the log: 1, 2, 3 …, without a gap. */
export interface EventEnvelope {
  readonly sequence: number;
  readonly session_id: string;
  readonly turn_id: string | null;
  readonly message_id: string | null;
  readonly trace_id: string | null;
  readonly timestamp: string;
}

/** An event of the service; `type` decides the shape of `data`. */
export type KnownEvent = {
  [Type in EventType]: EventEnvelope & { readonly type: Type; readonly data: Readonly<EventDataByType[Type]> };
}[EventType];

/** An event of another producer, or of a type that this client does not know: any fields. */
export interface OtherEvent extends EventEnvelope {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export type TurnlogEvent = KnownEvent | OtherEvent;

/** An event with the cursor that continues after it, also over a restore of the service's sessions. */
export type StreamedEvent = TurnlogEvent & { readonly cursor: string };

const KNOWN: Readonly<Record<EventType, true>> = {
  "session.created": true,
  "session.updated": true,
  "session.deleted": true,
  user_message: true,
  "message.queued": true,
  "message.withdrawn": true,
  "run.start": true,
  "run.handover": true,
  "message.start": true,
  "message.delta": true,
  "reasoning.delta": true,
  "tool_call.delta": true,
  "message.complete": true,
  token_usage: true,
  "tool_call.start": true,
  "tool_call.complete": true,
  "tool_call.action_required": true,
  "tool_call.action": true,
  vibecode_response: true,
  status: true,
  error: true,
  "run.complete": true,
};

/** Whether the service itself wrote the event, and this client knows its type. Only such events make up an answer. */
export function isKnown(event: TurnlogEvent): event is KnownEvent {
  return Object.hasOwn(KNOWN, event.type) && (event.data as { origin?: unknown }).origin !== "outside";
}
