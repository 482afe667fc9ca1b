/** HTTP requests to the service: token, problems, and retries that are safe. */

import { Backoff, sleep } from "./backoff.js";
import { problemOf, TurnlogProblem } from "./problem.js";

export interface ClientOptions {
  /** The service's URL, without a path. */
  readonly baseUrl: string;
  /**
   * Returns a valid bearer token. It is asked before each request, and once more when the service answers 401.
   * A TypeError of it counts as a failure of the network, as one of `fetch`.
   */
  readonly token?: () => Promise<string>;
  /** Sends requests in place of the global `fetch`. */
  readonly fetch?: typeof fetch;
  /** How often a request is sent at most when the server is away or busy. A stream resumes without a limit. */
  readonly maxTries?: number;
}

/** The service can't be reached, or its answer broke off. `cause` is the error of `fetch`, if there is one. */
export class NetworkError extends TypeError {
  override readonly name = "NetworkError";
}

export interface RequestOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** By default a new key. `null`: none, because something else in the request makes it safe to repeat. */
  readonly idempotencyKey?: string | null | undefined;
  /** A POST with the same path and body is the same request: a repeat gets the first answer. */
  readonly isRepeatable?: boolean;
}

/** Sends requests of one client. It holds no connection: there is nothing to close. */
export class Transport {
  readonly base: string;
  readonly #token: (() => Promise<string>) | undefined;
  readonly #fetch: typeof fetch;
  readonly #maxTries: number;

  /** @throws TypeError if `baseUrl` is no URL of a server. */
  constructor(options: ClientOptions) {
    this.base = checkedBase(options.baseUrl);
    this.#token = options.token;
    this.#fetch = options.fetch ?? ((...request) => fetch(...request)); // looked up late: a page may replace it
    this.#maxTries = options.maxTries ?? 4;
  }

  /**
   * Sends a request and returns the JSON of its answer; undefined if it has none.
   *
   * A POST carries an idempotency key, so each request may be sent again when an answer is lost or the server is busy.
   *
   * A DELETE that finds nothing at a repeat has succeeded before.
   *
   * @throws TurnlogProblem if the service refuses, NetworkError if it can't be reached.
   */
  async json<Answer>(path: string, options: RequestOptions = {}): Promise<Answer> {
    const sent = { ...options, headers: { ...keyHeader(options), ...options.headers } };
    const backoff = new Backoff();
    for (;;) {
      try {
        const response = await this.open(path, sent);
        return (response.status === 204 ? undefined : await ofNetwork(response.json())) as Answer;
      } catch (error) {
        if (options.method === "DELETE" && backoff.failures > 0 && isMissing(error)) return undefined as Answer;
        if (!isTransient(error) || backoff.failures + 1 >= this.#maxTries) throw error;
        await sleep(backoff.next(retryAfterOf(error)), options.signal);
      }
    }
  }

  /**
   * Sends a request once and returns its response, whose status is below 400.
   *
   * @throws TurnlogProblem if the service refuses, NetworkError if it can't be reached.
   */
  async open(path: string, options: RequestOptions): Promise<Response> {
    let response = await this.#send(path, options);
    if (response.status === 401 && this.#token) response = await this.#send(path, options); // with a new token
    if (response.status >= 400) throw await problemOf(response);
    return response;
  }

  async #send(path: string, { method = "GET", body, query = {}, headers, signal }: RequestOptions): Promise<Response> {
    const url = new URL(this.base + path);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, String(value));
    const all: Record<string, string> = { accept: "application/json", ...headers };
    if (this.#token) all["authorization"] = `Bearer ${await ofNetwork(this.#token())}`;
    if (body !== undefined) all["content-type"] = "application/json";
    const init = { method, headers: all, ...(body === undefined ? {} : { body: JSON.stringify(body) }), ...(signal ? { signal } : {}) };
    return ofNetwork((0, this.#fetch)(url, { ...init, cache: "no-store" })); // not as a method: `window.fetch` needs no `this`
  }
}

/** Whether the same request may succeed later. */
export function isTransient(error: unknown): boolean {
  return error instanceof TurnlogProblem ? error.retryable : error instanceof NetworkError;
}

/** The result of `work`. `fetch` and bodies report each failure of the network as a TypeError: it becomes a NetworkError. */
export async function ofNetwork<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (cause) {
    throw cause instanceof TypeError ? new NetworkError(cause.message, { cause }) : cause;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof TurnlogProblem && error.status === 404;
}

function checkedBase(url: string): string {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new TypeError(`baseUrl is no URL of a server, such as https://turnlog.example: ${url}`);
  return url.replace(/\/+$/, "");
}

export function retryAfterOf(error: unknown): number {
  return error instanceof TurnlogProblem ? (error.retryAfter ?? 0) : 0;
}

/** A key that no other request has. */
export function newIdempotencyKey(): string {
  return hex(crypto.getRandomValues(new Uint8Array(16))); // crypto.randomUUID is missing on pages without TLS
}

function keyHeader({ method, idempotencyKey, isRepeatable, body }: RequestOptions): Record<string, string> {
  if (method !== "POST" || idempotencyKey === null) return {};
  const made = isRepeatable ? hex(hash(JSON.stringify(body))) : newIdempotencyKey(); // nor is there crypto.subtle
  return { "idempotency-key": idempotencyKey ?? made };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** FNV-1a with 64 bits. The service compares the bodies as well. */
function hash(text: string): Uint8Array {
  let value = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) value = BigInt.asUintN(64, (value ^ BigInt(byte)) * 0x100000001b3n);
  return Uint8Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}
