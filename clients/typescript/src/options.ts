/** What the calls of a client take. */

import type { OnBusy } from "./events.js";

/** A text, or parts in OpenAI's form. */
export type Content = string | readonly ContentPart[];

export type ContentPart = { readonly type: string } & Readonly<Record<string, unknown>>;

/** A budget: how many tokens may be used in all, from the beginning on. */
export interface TokenLimit {
  readonly total_tokens: number;
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
  readonly project_dir?: string;
  readonly node_id?: string;
  readonly budget?: TokenLimit;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** Which session of a project to open. The name and the agent are those of a new session; one that is there keeps its own. */
export interface OpenSession {
  /** If absent, the session of the whole project. */
  readonly node_id?: string;
  readonly session_name?: string;
  readonly agent_name?: string;
}

export interface ForkSession {
  /** The last event that may be copied; if absent, the end of the log. */
  readonly at_sequence?: number;
  readonly session_name?: string;
}

/** What of a session can change. `null` removes a value; `metadata` is merged by key. */
export interface UpdateSession {
  readonly session_name?: string | null;
  readonly agent_name?: string | null;
  readonly metadata?: Readonly<Record<string, unknown>> | null;
  readonly archived?: boolean;
  readonly budget?: TokenLimit | null;
}

export interface ListSessions {
  readonly limit?: number;
  readonly cursor?: string;
  readonly status?: "running" | "finished";
  readonly project_id?: string;
  readonly agent_name?: string;
  readonly archived?: boolean;
  /** Only those that have these texts under these keys. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface SendOptions {
  /** Your own id of the message: its `user_message` or `message.queued`, and the message itself, have it. */
  readonly client_id?: string;
  readonly agent?: string;
  readonly model?: string;
  readonly on_busy?: OnBusy;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** How long the service waits before it answers. */
export interface Waiting {
  /** Seconds, at most 200; if absent, it answers at once. */
  readonly wait?: number;
}

export interface CancelOptions {
  readonly turn_id?: string;
  /** `clear` also withdraws the waiting messages. */
  readonly queue?: "keep" | "clear";
  readonly reason?: string;
}

export interface ListMessages {
  /** A `message_id`. */
  readonly after?: string;
  /** At most 200. */
  readonly limit?: number;
  readonly order?: "asc" | "desc";
}

export interface ListEvents {
  readonly after?: number | string;
  readonly before?: number | string;
  /** At most 1000. */
  readonly limit?: number;
  readonly types?: readonly string[];
  readonly order?: "asc" | "desc";
  /** Joins deltas, and leaves out attempts that a later one replaced. By default true. */
  readonly coalesce?: boolean;
}

/** An event of another producer, with any further fields, which are JSON. */
export interface OutsideEvent {
  readonly event_type: string;
  readonly [field: string]: unknown;
}

/** Numbers the requests of one producer of events, so that a repeat is recognised for ever, and a gap is refused. */
export interface Producer {
  /** Its name in the session. */
  readonly id: string;
  /** It grows with each restart; requests of an older epoch are refused. */
  readonly epoch: number;
  /** The number of the request in its epoch, from 0. */
  readonly seq: number;
}

export interface AppendOptions extends Repeatable {
  readonly producer?: Producer;
}

export type WebhookEvent = "run.complete" | "requires_action" | "session_deleted";

/** A receiver of signed events. Without a `secret` the service makes one, and returns it once. */
export interface Webhook {
  readonly url: string;
  readonly events?: readonly WebhookEvent[];
  readonly secret?: string;
}

export interface CreateProject {
  /** Valid against the schema of the service; if absent, a document without nodes. */
  readonly document?: Readonly<Record<string, unknown>>;
  readonly budget?: TokenLimit;
  readonly webhooks?: readonly Webhook[];
}

/** What of a project can change. `document` is merged (RFC 7396); `webhooks` are all of the project. */
export interface UpdateProject {
  readonly name?: string;
  readonly document?: Readonly<Record<string, unknown>> | null;
  readonly budget?: TokenLimit | null;
  readonly webhooks?: readonly Webhook[] | null;
}

export interface OfRevision {
  /** Changes the project only if it still has this revision; otherwise 412 (`precondition_failed`). */
  readonly ifRevision?: number;
}

export interface ListProjects {
  readonly limit?: number;
  readonly cursor?: string;
}
