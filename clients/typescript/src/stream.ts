/** A session's log as an async iterator that resumes where it stopped, until the service says that it is done. */

import { Backoff, sleep, type BackoffOptions } from "./backoff.js";
import type { StreamedEvent, TurnlogEvent } from "./events.js";
import { SseParser, type Frame } from "./sse.js";
import { isTransient, NetworkError, ofNetwork, retryAfterOf, type Transport } from "./transport.js";

type Progress =
  | { readonly state: "connecting" }
  | { readonly state: "live"; readonly resumed: boolean }
  | { readonly state: "waiting"; readonly milliseconds: number; readonly error: unknown }
  | { readonly state: "ended"; readonly reason: "finished" | "deleted" };

/** The connection of a stream. `sequence` is that of the last event that was read; `cursor` continues after it. */
export type Connection = Progress & { readonly sequence: number; readonly cursor: string };

export interface EventsOptions {
  /**
   * Reads what follows this cursor: the `cursor` of an event, or a sequence. By default the whole log. After a restore
   * of the service's sessions, an older `cursor` is refused; a bare sequence does not show which log it is of.
   */
  readonly after?: number | string;
  /** Continues with later turns, without an end. */
  readonly follow?: boolean;
  /** Names or patterns of types (`tool_call.*`). By default all. */
  readonly types?: readonly string[];
  /**
   * Tabs of one browser read one stream together, of all types. They must be of the same user: a text distinguishes
   * users. Without the Web Locks of a secure page, each tab reads its own.
   */
  readonly share?: boolean | string;
  readonly signal?: AbortSignal;
  /** Is called at each change of the connection. */
  readonly onConnection?: (connection: Connection) => void;
  readonly backoff?: BackoffOptions;
  /** A connection that sends nothing for so many milliseconds is given up; the time between two events that you take does not count. The service sends something every 15 s. */
  readonly maxSilence?: number;
}

/**
 * Yields each event of the session once, in order.
 *
 * It resumes over failures of the network, restarts of the server and planned ends, as often as needed. It ends when
 * nothing more will come, and at an abort.
 *
 * @throws TurnlogProblem if the service refuses the stream for good, for example `session_not_found` or `cursor_gone`.
 */
export async function* streamEvents(
  transport: Transport,
  sessionId: string,
  options: EventsOptions = {},
): AsyncGenerator<StreamedEvent, void, undefined> {
  const reader = new Reader(transport, sessionId, options);
  const backoff = new Backoff(options.backoff);
  while (!reader.isOver && !options.signal?.aborted) {
    try {
      for await (const event of reader.connection()) {
        backoff.reset();
        yield event;
      }
      if (reader.isOver || options.signal?.aborted) return;
      backoff.reset();
      await reader.wait(reader.pause * (1 + Math.random() / 2), null); // a planned end: the service says how long to wait
    } catch (error) {
      if (options.signal?.aborted) return;
      if (!isTransient(error)) throw error;
      await reader.wait(backoff.next(retryAfterOf(error)), error);
    }
  }
}

/** The progress of one reader over all its connections. */
class Reader {
  isOver = false;
  /** Milliseconds before the next connection. */
  pause = 500;
  #cursor: string;
  #sequence: number;
  readonly #isResumed: () => boolean;

  constructor(
    private readonly transport: Transport,
    private readonly sessionId: string,
    private readonly options: EventsOptions,
  ) {
    this.#cursor = String(options.after ?? 0);
    this.#sequence = Number.parseInt(this.#cursor, 10) || 0;
    const first = this.#sequence;
    this.#isResumed = () => this.#sequence > first || first > 0;
  }

  /**
   * Opens one connection, and yields what it sends.
   *
   * @throws NetworkError if it broke, or ended without anything that the service sends before a planned end.
   */
  async *connection(): AsyncGenerator<StreamedEvent> {
    this.#report({ state: "connecting" });
    const silence = new Silence(this.options.maxSilence ?? 45_000, this.options.signal);
    try {
      const response = await this.#open(silence.signal);
      if (response.status === 204 || !response.body) {
        this.#end("finished");
        return;
      }
      checkType(response);
      silence.pause();
      this.#report({ state: "live", resumed: this.#isResumed() });
      let isService = false; // a proxy may answer and close, without a word of the service
      const frames: Frame[] = [];
      const onRetry = (pause: number): void => {
        isService = true;
        this.pause = pause;
      };
      const parser = new SseParser({ onFrame: (frame) => frames.push(frame), onRetry }, this.#cursor);
      for await (const bytes of chunksOf(response.body, silence)) {
        parser.push(bytes);
        for (const frame of frames.splice(0)) {
          isService = true;
          if (this.options.signal?.aborted) return;
          const event = this.#read(frame);
          if (event) yield event;
          if (this.isOver) return;
        }
      }
      silence.check();
      if (!isService) throw new NetworkError("the connection ended without an event");
    } catch (error) {
      silence.check(); // it has aborted the connection, which is then the error
      throw error;
    } finally {
      silence.stop();
    }
  }

  /** Waits before the next connection. */
  async wait(milliseconds: number, error: unknown): Promise<void> {
    this.#report({ state: "waiting", milliseconds, error });
    await sleep(milliseconds, this.options.signal).catch(() => undefined); // after an abort the loop ends
  }

  #open(signal: AbortSignal): Promise<Response> {
    return this.transport.open(`/sessions/${encodeURIComponent(this.sessionId)}/stream`, {
      query: {
        format: "envelope",
        follow: this.options.follow || undefined,
        types: this.options.types?.join(",") || undefined,
      },
      headers: { accept: "text/event-stream", "last-event-id": this.#cursor },
      signal,
    });
  }

  #read(frame: Frame): StreamedEvent | undefined {
    this.#cursor = frame.id || this.#cursor;
    const data = JSON.parse(frame.data) as TurnlogEvent | { reason: "finished" | "deleted" };
    if (frame.event === "done") {
      this.#end("reason" in data ? data.reason : "finished");
      return undefined;
    }
    if (!("sequence" in data) || data.sequence <= this.#sequence) return undefined; // nothing is yielded twice
    this.#sequence = data.sequence;
    return { ...data, cursor: this.#cursor };
  }

  #end(reason: "finished" | "deleted"): void {
    this.isOver = true;
    this.#report({ state: "ended", reason });
  }

  #report(progress: Progress): void {
    this.options.onConnection?.({ ...progress, sequence: this.#sequence, cursor: this.#cursor });
  }
}

/** Aborts a connection that has been silent for too long, or with the caller's signal. */
class Silence {
  #isOver = false;
  readonly #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #onAbort = (): void => this.#controller.abort(this.outer?.reason);

  constructor(
    private readonly milliseconds: number,
    private readonly outer: AbortSignal | undefined,
  ) {
    outer?.throwIfAborted();
    outer?.addEventListener("abort", this.#onAbort, { once: true });
    this.restart();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  pause(): void {
    clearTimeout(this.#timer);
  }

  restart(): void {
    this.pause();
    this.#timer = setTimeout(() => {
      this.#isOver = true;
      this.#controller.abort();
    }, this.milliseconds);
  }

  /** @throws NetworkError, as for each connection that broke, if nothing came for too long. */
  check(): void {
    if (this.#isOver) throw new NetworkError(`the server sent nothing for ${this.milliseconds} ms`);
  }

  /** Ends the connection as well: the reader may have left before its end. */
  stop(): void {
    this.pause();
    this.outer?.removeEventListener("abort", this.#onAbort);
    this.#controller.abort();
  }
}

function checkType({ headers }: Response): void {
  const type = headers.get("content-type") ?? "nothing";
  if (!type.startsWith("text/event-stream")) throw new NetworkError(`the server sent ${type} in place of a stream`);
}

/** The pieces of a body, until its end or an abort. Not every browser iterates over a stream itself. */
async function* chunksOf(body: ReadableStream<Uint8Array>, silence: Silence): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  silence.signal.addEventListener("abort", () => void reader.cancel().catch(() => undefined), { once: true });
  for (;;) {
    silence.restart();
    const { done, value } = await ofNetwork(reader.read());
    silence.pause();
    if (done) return;
    yield value;
  }
}
