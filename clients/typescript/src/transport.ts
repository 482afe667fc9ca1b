/** HTTP requests to the service: token, problems, and retries that are safe. */

import { Backoff, sleep } from "./backoff.js";
import { problemOf, TurnlogProblem } from "./problem.js";

export interface ClientOptions {
  /** The service's URL, without a path. */
  readonly baseUrl: string;
  /** Returns a valid bearer token. It is asked before each connection, and once more when the service answers 401. */
  readonly token?: () => Promise<string>;
  /** Sends requests in place of the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** How often a request is sent at most when the server is away or busy. A stream resumes without a limit. */
  readonly maxTries?: number;
}

export interface RequestOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** A POST with the same path and body is the same request: a repeat gets the first answer. */
  readonly isRepeatable?: boolean;
}

/** Sends requests of one client. It holds no connection: there is nothing to close. */
export class Transport {
  readonly #base: string;
  readonly #token: (() => Promise<string>) | undefined;
  readonly #fetch: typeof fetch;
  readonly #maxTries: number;

  constructor(options: ClientOptions) {
    this.#base = options.baseUrl.replace(/\/+$/, "");
    this.#token = options.token;
    this.#fetch = options.fetch ?? ((...request) => fetch(...request)); // looked up late: a page may replace it
    this.#maxTries = options.maxTries ?? 4;
  }

  /**
   * Sends a request and returns the JSON of its answer; undefined if it has none.
   *
   * A POST carries an idempotency key, so each request may be sent again when an answer is lost or the server is busy.
   *
   * @throws TurnlogProblem if the service refuses, TypeError if it can't be reached.
   */
  async json<Answer>(path: string, options: RequestOptions = {}): Promise<Answer> {
    const key = options.method === "POST" ? { "idempotency-key": keyOf(options) } : {};
    const sent = { ...options, headers: { ...key, ...options.headers } };
    const backoff = new Backoff();
    for (;;) {
      try {
        const response = await this.open(path, sent);
        return (response.status === 204 ? undefined : await response.json()) as Answer;
      } catch (error) {
        if (!isTransient(error) || backoff.failures + 1 >= this.#maxTries) throw error;
        await sleep(backoff.next(retryAfterOf(error)), options.signal);
      }
    }
  }

  /**
   * Sends a request once and returns its response, whose status is below 400.
   *
   * @throws TurnlogProblem if the service refuses, TypeError if it can't be reached.
   */
  async open(path: string, options: RequestOptions): Promise<Response> {
    let response = await this.#send(path, options);
    if (response.status === 401 && this.#token) response = await this.#send(path, options); // with a new token
    if (response.status >= 400) throw await problemOf(response);
    return response;
  }

  async #send(path: string, { method = "GET", body, query = {}, headers, signal }: RequestOptions): Promise<Response> {
    const url = new URL(this.#base + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
    const all: Record<string, string> = { accept: "application/json", ...headers };
    if (this.#token) all["authorization"] = `Bearer ${await this.#token()}`;
    if (body !== undefined) all["content-type"] = "application/json";
    return this.#fetch(url, {
      method,
      headers: all,
      cache: "no-store",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  }
}

/** Whether the same request may succeed later. `fetch` reports each failure of the network as a TypeError. */
export function isTransient(error: unknown): boolean {
  return error instanceof TurnlogProblem ? error.retryable : error instanceof TypeError;
}

export function retryAfterOf(error: unknown): number {
  return error instanceof TurnlogProblem ? (error.retryAfter ?? 0) : 0;
}

function keyOf(options: RequestOptions): string {
  // crypto.subtle and crypto.randomUUID are missing on pages without TLS.
  const bytes = options.isRepeatable ? hash(JSON.stringify(options.body)) : crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** FNV-1a with 64 bits. The service compares the bodies as well. */
function hash(text: string): Uint8Array {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
  return Uint8Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}
