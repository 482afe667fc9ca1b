/** What the service's JSON answers hold. Fields that this client does not name are there all the same. */

import type { ActionKind, TurnlogEvent } from "./events.js";
import type { Content, TokenLimit, WebhookEvent } from "./options.js";

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** How many tokens may be used in all, and how many of them are left. */
export interface Budget {
  readonly total_tokens: number;
  readonly left_tokens: number;
}

/** Why a turn failed. `code` is for programs. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

export type SessionState = "idle" | "queued" | "running" | "requires_action" | "cancelling" | "stalled";

/** A tool call that waits: for an approval, or for the client to run it. `arguments` is JSON. */
export interface RequiredAction {
  readonly call_id: string;
  readonly kind: ActionKind;
  readonly name: string;
  readonly arguments: string;
  readonly expires_at: string;
}

export interface SessionInfo {
  readonly session_id: string;
  readonly session_name: string | null;
  readonly agent_name: string | null;
  readonly project_id: string | null;
  readonly node_id: string | null;
  readonly status: "running" | "finished";
  readonly state: SessionState;
  readonly required_action: readonly RequiredAction[];
  readonly created_at: string;
  readonly updated_at: string;
  readonly archived: boolean;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly head: number;
  readonly queued: number;
  readonly usage: Usage;
  readonly cost?: number;
  readonly budget: Budget | null;
  /** The session whose log was copied, and the last event that was copied. */
  readonly forked_from: { readonly session_id: string; readonly sequence: number } | null;
}

export interface SessionPage {
  readonly sessions: readonly SessionInfo[];
  readonly next_cursor: string | null;
}

export type MessageStatus = "queued" | "running" | "requires_action" | "completed" | "failed" | "cancelled" | "withdrawn";

/** A tool call of an answer: null is what it has only once it has ended. A large response is `{ href }`. */
export interface MessageToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
  readonly status: "completed" | "failed" | "cancelled" | "denied" | null;
  readonly response: unknown;
  readonly truncated: boolean;
  readonly duration_ms: number | null;
}

/** A message and its answer. */
export interface Message {
  readonly message_id: string;
  readonly session_id: string;
  readonly turn_id: string;
  /** The sender's own id of the message. */
  readonly client_id: string | null;
  readonly sequence: number;
  readonly content: Content;
  readonly answer: string | null;
  readonly status: MessageStatus;
  readonly error: Failure | null;
  readonly agent: string;
  readonly model: string;
  readonly usage: Usage;
  readonly tool_calls: readonly MessageToolCall[];
  /** In the currency of the service's prices, if the model has a price. */
  readonly cost?: number;
}

export interface CancelReceipt {
  readonly turn_id: string | null;
  readonly status: "idle" | "cancelling" | MessageStatus;
  /** What the turn has used, and what of it had a price, once the turn has ended. */
  readonly usage?: Usage;
  readonly cost?: number;
}

/** A receiver of signed events. `secret` is only in the answer to the request for which the service made it. */
export interface ProjectWebhook {
  readonly id: string;
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  readonly secret?: string;
  readonly created_at: string;
}

/** A project owns a JSON document; `revision` counts its changes. */
export interface Project {
  readonly id: string;
  readonly name: string;
  readonly document: Readonly<Record<string, unknown>>;
  readonly revision: number;
  readonly budget: TokenLimit | null;
  readonly webhooks: readonly ProjectWebhook[];
}

export interface AgentTool {
  readonly name: string;
  readonly description: string;
  readonly requires_approval: boolean;
  readonly client: boolean;
}

export interface Agent {
  readonly name: string;
  readonly description: string;
  readonly model: string;
  readonly tools: readonly AgentTool[];
}

export interface AgentList {
  readonly agents: readonly Agent[];
  readonly default: string;
}

/** The decision about a tool call, as it is recorded. */
export interface DecisionReceipt {
  readonly call_id: string;
  readonly decision: "approve" | "deny" | "result";
}

/** The sequences of the appended events, in their order. */
export interface AppendReceipt {
  readonly sequences: readonly number[];
}

/** A tool call with its whole response, which an event holds only up to 64 KB. */
export interface ToolCallResult extends MessageToolCall {
  readonly message_id: string;
  readonly step: number;
}

/** Events of the log. `next_cursor` continues (`after`; newest first: `before`); null: it was the last page. */
export interface EventPage {
  readonly events: readonly TurnlogEvent[];
  readonly next_cursor: number | null;
  readonly head: number;
}

/** The tokens that one agent used of one model, in `calls` model calls; their cost, if the model has a price. */
export interface UsageRow extends Usage {
  readonly agent: string;
  readonly model: string;
  readonly calls: number;
  readonly cost?: number;
}

/** What a session, or all sessions of a project, used: in all, and by agent and model. */
export interface UsageReport {
  readonly usage: Usage;
  readonly cost?: number;
  readonly budget: Budget | null;
  readonly sessions: number;
  readonly rows: readonly UsageRow[];
}

export interface ProjectPage {
  readonly projects: readonly Project[];
  readonly next_cursor: string | null;
}

/** How far the deletion of a project is: `deleted` of the `listed` sessions. `listed` grows until the end. */
export interface Deletion {
  readonly project_id: string;
  readonly status: "deleting" | "deleted";
  readonly deleted: number;
  readonly listed: number;
  readonly requested_at: string;
  readonly ended_at: string | null;
}
