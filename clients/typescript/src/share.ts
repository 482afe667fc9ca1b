/** One stream for all tabs of a browser: a Web Lock chooses the tab that reads, a BroadcastChannel gives its events to the others. */

import type { StreamedEvent } from "./events.js";
import { streamEvents, type Connection, type EventsOptions } from "./stream.js";
import type { Transport } from "./transport.js";

/** What tabs send to each other. `hello` asks the leader for its connection. */
type Notice =
  | { readonly kind: "event"; readonly event: StreamedEvent }
  | { readonly kind: "connection"; readonly connection: Connection }
  | { readonly kind: "hello" };

/**
 * Yields each event of the session once, in order, like `streamEvents`. Tabs share one stream if `options` say so, and
 * if the page has what they need for it: it is served over HTTPS or by this machine.
 *
 * @throws TypeError if events of some types only are to be shared.
 */
export function openEvents(
  transport: Transport,
  sessionId: string,
  options: EventsOptions,
): AsyncGenerator<StreamedEvent, void, undefined> {
  if (!options.share) return streamEvents(transport, sessionId, options);
  if (options.types?.length) throw new TypeError("a shared stream has events of all types: leave out `types`");
  const canShare = typeof BroadcastChannel !== "undefined" && typeof navigator !== "undefined" && "locks" in navigator;
  return (canShare ? sharedEvents : streamEvents)(transport, sessionId, options);
}

async function* sharedEvents(
  transport: Transport,
  sessionId: string,
  options: EventsOptions,
): AsyncGenerator<StreamedEvent, void, undefined> {
  const tab = new Tab(transport, sessionId, options);
  try {
    yield* tab.events();
  } finally {
    tab.close();
  }
}

/**
 * One reader in one tab. The leader reads the stream; the others take its events as long as they follow each other. A
 * tab that misses some reads them itself, on a connection that it closes then.
 */
class Tab {
  readonly #name: string;
  readonly #channel: BroadcastChannel;
  readonly #closing = new AbortController();
  readonly #ready: StreamedEvent[] = [];
  #cursor: string;
  #sequence: number;
  #isLeader = false;
  #isClosed = false;
  #connection: Connection | undefined;
  #catchUp: AbortController | undefined;
  /** What a tab that catches up reads up to. */
  #target = 0;
  #isOver = false;
  #isDeleted = false;
  #failure: { readonly error: unknown } | undefined;
  #wake = (): void => undefined;
  readonly #onAbort = (): void => this.close();

  constructor(
    private readonly transport: Transport,
    private readonly sessionId: string,
    private readonly options: EventsOptions,
  ) {
    const { share, follow } = options;
    this.#cursor = String(options.after ?? 0);
    this.#sequence = Number.parseInt(this.#cursor, 10) || 0;
    this.#name = ["turnlog", transport.base, sessionId, follow ? "follow" : "", share === true ? "" : share].join(" ");
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Notice>) => this.#receive(data);
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (options.signal?.aborted) this.close();
    else void this.#lead();
    this.#post({ kind: "hello" });
  }

  async *events(): AsyncGenerator<StreamedEvent, void, undefined> {
    for (;;) {
      for (const event of this.#ready.splice(0)) {
        if (this.#isClosed) return; // after an abort nothing follows
        yield event;
      }
      if (this.#ready.length > 0) continue; // more came while the page took those
      if (this.#failure) throw this.#failure.error;
      if (this.#isOver || this.#isClosed) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#closing.abort();
    this.#catchUp?.abort();
    this.#channel.close();
    this.options.signal?.removeEventListener("abort", this.#onAbort);
    this.#wake();
  }

  /** Waits until no other tab reads, and reads then. The browser gives the lock on when this tab closes or crashes. */
  async #lead(): Promise<void> {
    try {
      await navigator.locks.request(this.#name, { signal: this.#closing.signal }, async () => {
        if (this.#isOver) return;
        this.#isLeader = true;
        if (this.#isDeleted) { // the lock came before the last leader's notice of the end
          this.#report({ state: "ended", reason: "deleted", sequence: this.#sequence, cursor: this.#cursor });
          return;
        }
        this.#catchUp?.abort(); // the stream itself has what is missing
        for await (const event of this.#stream(this.#closing.signal, (connection) => this.#report(connection))) {
          this.#take(event);
          this.#post({ kind: "event", event });
        }
      });
    } catch (error) {
      this.#fail(error);
    }
  }

  #stream(signal: AbortSignal, onConnection?: (connection: Connection) => void): AsyncGenerator<StreamedEvent> {
    const { share: _, onConnection: __, ...options } = this.options;
    return streamEvents(this.transport, this.sessionId, {
      ...options,
      after: this.#cursor,
      signal,
      ...(onConnection ? { onConnection } : {}),
    });
  }

  #report(connection: Connection): void {
    // An error may have what can't be sent to another tab.
    const isFailed = connection.state === "waiting" && connection.error !== null;
    this.#connection = isFailed ? { ...connection, error: String(connection.error) } : connection;
    this.options.onConnection?.(connection);
    this.#post({ kind: "connection", connection: this.#connection });
    if (connection.state === "ended") this.#end();
  }

  #receive(notice: Notice): void {
    if (this.#isOver) return;
    if (this.#isLeader) {
      const now = { sequence: this.#sequence, cursor: this.#cursor };
      if (notice.kind === "hello" && this.#connection) this.#post({ kind: "connection", connection: { ...this.#connection, ...now } });
      return;
    }
    if (notice.kind === "event") this.#offer(notice.event);
    else if (notice.kind === "connection") this.#follow(notice.connection);
  }

  /** Takes an event of the leader if it is the next one. */
  #offer(event: StreamedEvent): void {
    if (!this.#isOfThisLog(event.cursor)) void this.#read(event.sequence); // the service refuses the old cursor
    else if (event.sequence === this.#sequence + 1) this.#take(event);
    else if (event.sequence > this.#sequence) void this.#read(event.sequence);
  }

  /** The leader's connection is also this tab's, as far as it has read. */
  #follow(connection: Connection): void {
    const isBehind = connection.sequence > this.#sequence;
    if (connection.state === "ended" && isBehind) return; // this tab gets the lock now, and reads the rest itself
    this.options.onConnection?.({ ...connection, sequence: this.#sequence, cursor: this.#cursor });
    if (connection.state === "ended") this.#end();
    else if (isBehind || !this.#isOfThisLog(connection.cursor)) void this.#read(connection.sequence);
  }

  /** Reads up to this sequence on a connection of its own. */
  async #read(target: number): Promise<void> {
    this.#target = Math.max(this.#target, target);
    if (this.#catchUp) return;
    const catchUp = (this.#catchUp = new AbortController());
    try {
      for await (const event of this.#stream(catchUp.signal)) {
        this.#take(event);
        if (this.#sequence >= this.#target) break;
      }
    } catch (error) {
      if (!catchUp.signal.aborted) this.#fail(error);
    } finally {
      this.#catchUp = undefined;
    }
  }

  #take(event: StreamedEvent): void {
    if (event.sequence <= this.#sequence) return;
    this.#sequence = event.sequence;
    this.#cursor = event.cursor;
    this.#isDeleted = event.type === "session.deleted";
    this.#ready.push(event);
    this.#wake();
  }

  /** Whether a cursor is of the log that this tab reads: a restore begins another one. A bare sequence is of any. */
  #isOfThisLog(cursor: string): boolean {
    const [own, other] = [this.#cursor, cursor].map((each) => each.split("-")[1]);
    return !own || !other || own === other;
  }

  #end(): void {
    this.#isOver = true;
    this.#closing.abort();
    this.#wake();
  }

  #fail(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    this.#failure = { error };
    this.#wake();
  }

  #post(notice: Notice): void {
    if (!this.#isClosed) this.#channel.postMessage(notice);
  }
}
