/** Turnlog's client: sessions, messages, and streams that resume without loss or repetition. */
export { Backoff } from "./backoff.js";
export { Turnlog } from "./client.js";
export { Conversation } from "./conversation.js";
export * from "./events.js";
export * from "./options.js";
export { TurnlogProblem } from "./problem.js";
export { Session } from "./session.js";
export { SseParser } from "./sse.js";
export { NetworkError, newIdempotencyKey } from "./transport.js";
export { Turn } from "./turn.js";
export * from "./values.js";
