/** Errors of the service as values: problem documents (RFC 9457). */

/** A field of the request that is wrong; `pointer` is a JSON pointer into the body. */
export interface FieldError {
  readonly pointer: string;
  readonly detail: string;
}

/** The body of an error. `code` is for programs, `detail` for people. */
export interface ProblemDocument {
  readonly type?: string;
  readonly title?: string;
  readonly status: number;
  readonly detail?: string;
  readonly code: string;
  readonly retryable: boolean;
  readonly trace_id?: string;
  readonly errors?: readonly FieldError[];
}

/** The service refused a request. `retryable`: the same request can succeed later. A refused request wrote nothing. */
export class TurnlogProblem extends Error {
  override readonly name = "TurnlogProblem";
  readonly status: number;
  readonly code: string;
  readonly retryable: boolean;
  readonly traceId: string | undefined;
  readonly errors: readonly FieldError[];
  /** Milliseconds that the service asks to wait before the next try. */
  readonly retryAfter: number | undefined;

  constructor(problem: ProblemDocument, retryAfter?: number) {
    super(problem.detail ?? problem.title ?? problem.code);
    this.status = problem.status;
    this.code = problem.code;
    this.retryable = problem.retryable;
    this.traceId = problem.trace_id;
    this.errors = problem.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

/** Reads the problem in `response`. A proxy may answer with something else: then the status decides. */
export async function problemOf(response: Response): Promise<TurnlogProblem> {
  const { status } = response;
  const fallback: ProblemDocument = {
    status,
    code: `http_${status}`,
    detail: `The server answered with ${status} ${response.statusText}`.trim(),
    retryable: isRetryableStatus(status),
  };
  const body: unknown = await response.json().catch(() => null);
  const sent = typeof body === "object" && body !== null && "code" in body ? (body as Partial<ProblemDocument>) : {};
  return new TurnlogProblem({ ...fallback, ...sent, status }, retryAfterOf(response.headers));
}

function isRetryableStatus(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501);
}

function retryAfterOf(headers: Headers): number | undefined {
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
