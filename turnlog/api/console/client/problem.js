/** Errors of the service as values: problem documents (RFC 9457). */
/** The service refused a request. `retryable`: the same request can succeed later. A refused request wrote nothing. */
export class TurnlogProblem extends Error {
    name = "TurnlogProblem";
    status;
    code;
    retryable;
    traceId;
    errors;
    /** Milliseconds that the service asks to wait before the next try. */
    retryAfter;
    constructor(problem, retryAfter) {
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
export async function problemOf(response) {
    const { status } = response;
    const fallback = {
        status,
        code: `http_${status}`,
        detail: `The server answered with ${status} ${response.statusText}`.trim(),
        retryable: isRetryableStatus(status),
    };
    const body = await response.json().catch(() => null);
    const sent = typeof body === "object" && body !== null && "code" in body ? body : {};
    return new TurnlogProblem({ ...fallback, ...sent, status }, retryAfterOf(response.headers));
}
function isRetryableStatus(status) {
    return status === 408 || status === 429 || (status >= 500 && status !== 501);
}
function retryAfterOf(headers) {
    const seconds = Number(headers.get("retry-after") ?? Number.NaN);
    return Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
