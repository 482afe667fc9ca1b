/** Turnlog's client: sessions, messages, and streams that resume without loss or repetition. */

export { Backoff, type BackoffOptions } from "./backoff.js";
export { Turnlog } from "./client.js";
export { Conversation, type Action, type Queued, type UsageSample } from "./conversation.js";
export * from "./events.js";
export * from "./options.js";
export { TurnlogProblem, type FieldError, type ProblemDocument } from "./problem.js";
export { Session } from "./session.js";
export { SseParser, type Frame, type SseListener } from "./sse.js";
export type { Connection, EventsOptions } from "./stream.js";
export { NetworkError, newIdempotencyKey, type ClientOptions } from "./transport.js";
export { Turn, type Part, type Step, type ToolCall, type UserPart } from "./turn.js";
export * from "./values.js";
