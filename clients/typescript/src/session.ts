/** One session: send messages, read its events, and decide about what waits. */

import { Conversation } from "./conversation.js";
import type { StreamedEvent } from "./events.js";
import { openEvents } from "./share.js";
import type { EventsOptions } from "./stream.js";
import type { RequestOptions, Transport } from "./transport.js";
import type { CancelOptions, CancelReceipt, Content, Message, Repeatable, SendOptions, SessionInfo } from "./values.js";

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

  /** Ends a running turn, and deletes the session. */
  delete(signal?: AbortSignal): Promise<void> {
    return this.transport.json(this.#path, { method: "DELETE", signal });
  }

  /** Sends a message. Returns as soon as it is stored: `events` shows its turn. */
  send(content: Content, options: SendOptions & Repeatable = {}, signal?: AbortSignal): Promise<Message> {
    const { idempotencyKey, ...fields } = options;
    const request = { headers: { prefer: "respond-async" }, idempotencyKey, signal };
    return this.#post("/messages", { content, ...fields }, request);
  }

  /** The messages with their answers, oldest first. */
  messages(signal?: AbortSignal): Promise<readonly Message[]> {
    return this.transport.json(`${this.#path}/messages`, { signal });
  }

  /** Asks the running turn to stop; what was written stays. */
  cancel(options: CancelOptions = {}, signal?: AbortSignal): Promise<CancelReceipt> {
    return this.#post("/cancel", options, { signal });
  }

  /** Takes a waiting message back. */
  withdraw(messageId: string, signal?: AbortSignal): Promise<void> {
    const path = `${this.#path}/queue/${encodeURIComponent(messageId)}`;
    return this.transport.json(path, { method: "DELETE", signal });
  }

  /** Lets a tool call run that waits for an approval. The same decision again changes nothing. */
  approve(callId: string, reason?: string, signal?: AbortSignal): Promise<void> {
    return this.#decide(callId, "approve", reason, signal);
  }

  /** Refuses a tool call that waits for an approval. The model reads the reason. The same decision again changes nothing. */
  deny(callId: string, reason?: string, signal?: AbortSignal): Promise<void> {
    return this.#decide(callId, "deny", reason, signal);
  }

  /** Sends the result of a tool that the client runs. */
  submitResult(callId: string, result: unknown, signal?: AbortSignal): Promise<void> {
    return this.#post(`/tool_calls/${encodeURIComponent(callId)}/result`, { result }, { signal, isRepeatable: true });
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

  #decide(callId: string, decision: "approve" | "deny", reason?: string, signal?: AbortSignal): Promise<void> {
    const body = { decision, ...(reason ? { reason } : {}) };
    return this.#post(`/tool_calls/${encodeURIComponent(callId)}/approval`, body, { signal, isRepeatable: true });
  }

  #post<Answer>(path: string, body: unknown, options: RequestOptions): Promise<Answer> {
    return this.transport.json(this.#path + path, { ...options, method: "POST", body });
  }
}
