/** One session: send messages, read its events, and decide about what waits. */

import { Conversation } from "./conversation.js";
import type { StreamedEvent } from "./events.js";
import { openEvents } from "./share.js";
import type {
  AppendOptions,
  CancelOptions,
  Content,
  ForkSession,
  ListEvents,
  ListMessages,
  OutsideEvent,
  Repeatable,
  SendOptions,
  UpdateSession,
  Waiting,
} from "./options.js";
import type { EventsOptions } from "./stream.js";
import type { RequestOptions, Transport } from "./transport.js";
import type {
  AppendReceipt,
  CancelReceipt,
  DecisionReceipt,
  EventPage,
  Message,
  SessionInfo,
  ToolCallResult,
  UsageReport,
} from "./values.js";

/** A handle of a session. It makes no request by itself, so it exists before the session does. */
export class Session {
  readonly #path: string;

  constructor(
    readonly id: string,
    private readonly transport: Transport,
  ) {
    this.#path = `/sessions/${encodeURIComponent(id)}`;
  }

  info(signal?: AbortSignal): Promise<SessionInfo> {
    return this.transport.json(this.#path, { signal });
  }

  /** Changes the session; `null` removes a value. */
  update(changes: UpdateSession, signal?: AbortSignal): Promise<SessionInfo> {
    return this.transport.json(this.#path, { method: "PATCH", body: changes, signal });
  }

  /** Ends a running turn, and deletes the session. */
  delete(signal?: AbortSignal): Promise<void> {
    return this.transport.json(this.#path, { method: "DELETE", signal });
  }

  /** Creates a session with the same past: the log to its last finished turn, or up to `at_sequence`. */
  async fork(options: ForkSession & Repeatable = {}, signal?: AbortSignal): Promise<Session> {
    const { idempotencyKey, ...body } = options;
    const { session_id } = await this.#post<SessionInfo>("/fork", body, { idempotencyKey, signal });
    return new Session(session_id, this.transport);
  }

  /** What the session has used. */
  usage(signal?: AbortSignal): Promise<UsageReport> {
    return this.transport.json(`${this.#path}/usage`, { signal });
  }

  /**
   * Sends a message. Returns as soon as it is stored, or with `wait` when it is answered.
   *
   * A message whose `status` is not final after the wait continues: `events` shows its turn.
   */
  send(content: Content, options: SendOptions & Waiting & Repeatable = {}, signal?: AbortSignal): Promise<Message> {
    const { idempotencyKey, wait, ...fields } = options;
    return this.#post("/messages", { content, ...fields }, { headers: preferOf(wait), idempotencyKey, signal });
  }

  /** The messages with their answers, oldest first: at most 50, or `limit`. */
  messages(options: ListMessages = {}, signal?: AbortSignal): Promise<readonly Message[]> {
    return this.transport.json(`${this.#path}/messages`, { query: { ...options }, signal });
  }

  /** A page of the log from either end, without following it. */
  history(options: ListEvents = {}, signal?: AbortSignal): Promise<EventPage> {
    return this.transport.json(`${this.#path}/events`, { query: { ...options }, signal });
  }

  /**
   * Appends events of another producer, at most 100: all of them or none.
   *
   * A repeat with the same `idempotencyKey`, or with the same numbers of the `producer`, appends nothing. A key is kept
   * for 24 hours, the numbers for ever.
   */
  appendEvents(events: readonly OutsideEvent[], options: AppendOptions = {}, signal?: AbortSignal): Promise<AppendReceipt> {
    const { producer, idempotencyKey = producer ? null : undefined } = options;
    const numbers = Object.entries(producer ?? {}).map(([name, value]) => [`producer-${name}`, String(value)]);
    return this.#post("/events", events, { headers: Object.fromEntries(numbers), idempotencyKey, signal });
  }

  /** Asks the running turn to stop; what was written stays. With `wait`, returns after its end. */
  cancel(options: CancelOptions & Waiting = {}, signal?: AbortSignal): Promise<CancelReceipt> {
    const { wait, ...fields } = options;
    return this.#post("/cancel", fields, { headers: preferOf(wait), signal });
  }

  /** The messages that wait for their turn, in the order in which they will run. */
  queue(signal?: AbortSignal): Promise<readonly Message[]> {
    return this.transport.json(`${this.#path}/queue`, { signal });
  }

  /** Takes a waiting message back. */
  withdraw(messageId: string, signal?: AbortSignal): Promise<void> {
    const path = `${this.#path}/queue/${encodeURIComponent(messageId)}`;
    return this.transport.json(path, { method: "DELETE", signal });
  }

  /** A tool call that has ended with its whole response, also one that is too large for an event. */
  toolCall(callId: string, signal?: AbortSignal): Promise<ToolCallResult> {
    return this.transport.json(`${this.#path}/tool_calls/${encodeURIComponent(callId)}`, { signal });
  }

  /** Lets a tool call run that waits for an approval. The same decision again changes nothing. */
  approve(callId: string, reason?: string, signal?: AbortSignal): Promise<DecisionReceipt> {
    return this.#decide(callId, "approval", { decision: "approve", ...(reason ? { reason } : {}) }, signal);
  }

  /** Refuses a tool call that waits for an approval. The model reads the reason. The same decision again changes nothing. */
  deny(callId: string, reason?: string, signal?: AbortSignal): Promise<DecisionReceipt> {
    return this.#decide(callId, "approval", { decision: "deny", ...(reason ? { reason } : {}) }, signal);
  }

  /** Sends the result of a tool that the client runs. */
  submitResult(callId: string, result: unknown, signal?: AbortSignal): Promise<DecisionReceipt> {
    return this.#decide(callId, "result", { result }, signal);
  }

  /** Says why a tool that the client runs has no result. The model reads it. */
  submitError(callId: string, error: string, signal?: AbortSignal): Promise<DecisionReceipt> {
    return this.#decide(callId, "result", { error }, signal);
  }

  /** Yields each event of the log once, in order, over any number of connections. `after: event.cursor` continues after it. */
  events(options: EventsOptions = {}): AsyncGenerator<StreamedEvent, void, undefined> {
    return openEvents(this.transport, this.id, options);
  }

  /**
   * Yields the conversation as it is now, and again after each event that follows. It is one object, which changes.
   *
   * The past is folded first, so what it shows as waiting does wait.
   */
  async *watch(options: Omit<EventsOptions, "after" | "types"> = {}): AsyncGenerator<Conversation, void, undefined> {
    const { head } = await this.info(options.signal);
    const conversation = new Conversation();
    for await (const event of this.events(options)) {
      conversation.apply(event);
      if (event.sequence >= head) yield conversation;
    }
  }

  #decide(callId: string, path: string, body: object, signal?: AbortSignal): Promise<DecisionReceipt> {
    return this.#post(`/tool_calls/${encodeURIComponent(callId)}/${path}`, body, { signal, isRepeatable: true });
  }

  #post<Answer>(path: string, body: unknown, options: RequestOptions): Promise<Answer> {
    return this.transport.json(this.#path + path, { ...options, method: "POST", body });
  }
}

/** The wait that the service is asked for; without one it answers at once. */
function preferOf(seconds?: number): Record<string, string> {
  return { prefer: seconds ? `wait=${Math.ceil(seconds)}` : "respond-async" };
}
