/** What the service's JSON answers hold. Fields that this client does not name are there all the same. */

import type { OnBusy } from "./events.js";

/** A text, or parts in OpenAI's form. */
export type Content = string | readonly ContentPart[];
export type ContentPart = { readonly type: string } & Readonly<Record<string, unknown>>;

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

export interface SessionInfo {
  readonly session_id: string;
  readonly session_name: string | null;
  readonly agent_name: string | null;
  readonly project_id: string | null;
  readonly status: "running" | "finished";
  readonly state: SessionState;
  readonly created_at: string;
  readonly updated_at: string;
  readonly archived: boolean;
  readonly head: number;
  readonly queued: number;
  readonly usage: Usage;
  readonly cost?: number;
  readonly budget: Budget | null;
}

export interface SessionPage {
  readonly sessions: readonly SessionInfo[];
  readonly next_cursor: string | null;
}

export interface Repeatable {
  /** Names this request: the same request with the same key is done once, also after a lost answer. By default a new key. */
  readonly idempotencyKey?: string;
}

export interface CreateSession {
  readonly session_id?: string;
  readonly session_name?: string;
  readonly agent_name?: string;
  readonly project_id?: string;
  readonly budget?: { readonly total_tokens: number };
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface ListSessions {
  readonly limit?: number;
  readonly cursor?: string;
  readonly status?: "running" | "finished";
  readonly archived?: boolean;
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

export interface SendOptions {
  /** Your own id of the message: its `user_message` or `message.queued`, and the message itself, have it. */
  readonly client_id?: string;
  readonly agent?: string;
  readonly model?: string;
  readonly on_busy?: OnBusy;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface CancelOptions {
  readonly turn_id?: string;
  /** `clear` also withdraws the waiting messages. */
  readonly queue?: "keep" | "clear";
  readonly reason?: string;
}

export interface CancelReceipt {
  readonly turn_id: string | null;
  readonly status: "idle" | "cancelling" | MessageStatus;
  /** What the turn has used, and what of it had a price, once the turn has ended. */
  readonly usage?: Usage;
  readonly cost?: number;
}

export type WebhookEvent = "run.complete" | "requires_action" | "session_deleted";

/** A receiver of signed events. `secret` is only in the answer to the request for which the service made it. */
export interface Webhook {
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
  readonly budget: { readonly total_tokens: number } | null;
  readonly webhooks: readonly Webhook[];
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

