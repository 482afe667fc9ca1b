/** One session: send messages, read its events, and decide about what waits. */
import { Conversation } from "./conversation.js";
import { openEvents } from "./share.js";
/** A handle of a session. It makes no request by itself, so it exists before the session does. */
export class Session {
    id;
    transport;
    #path;
    constructor(id, transport) {
        this.id = id;
        this.transport = transport;
        this.#path = `/sessions/${encodeURIComponent(id)}`;
    }
    info(signal) {
        return this.transport.json(this.#path, { signal });
    }
    /** Changes the session; `null` removes a value. */
    update(changes, signal) {
        return this.transport.json(this.#path, { method: "PATCH", body: changes, signal });
    }
    /** Ends a running turn, and deletes the session. */
    delete(signal) {
        return this.transport.json(this.#path, { method: "DELETE", signal });
    }
    /** Creates a session with the same past: the log to its last finished turn, or up to `at_sequence`. */
    async fork(options = {}, signal) {
        const { idempotencyKey, ...body } = options;
        const { session_id } = await this.#post("/fork", body, { idempotencyKey, signal });
        return new Session(session_id, this.transport);
    }
    /** What the session has used. */
    usage(signal) {
        return this.transport.json(`${this.#path}/usage`, { signal });
    }
    /**
     * Sends a message. Returns as soon as it is stored, or with `wait` when it is answered.
     *
     * A message whose `status` is not final after the wait continues: `events` shows its turn.
     */
    send(content, options = {}, signal) {
        const { idempotencyKey, wait, ...fields } = options;
        return this.#post("/messages", { content, ...fields }, { headers: preferOf(wait), idempotencyKey, signal });
    }
    /** The messages with their answers, oldest first: at most 50, or `limit`. */
    messages(options = {}, signal) {
        return this.transport.json(`${this.#path}/messages`, { query: { ...options }, signal });
    }
    /** A page of the log from either end, without following it. */
    history(options = {}, signal) {
        return this.transport.json(`${this.#path}/events`, { query: { ...options }, signal });
    }
    /**
     * Appends events of another producer, at most 100: all of them or none.
     *
     * A repeat with the same `idempotencyKey`, or with the same numbers of the `producer`, appends nothing. A key is kept
     * for 24 hours, the numbers for ever.
     */
    appendEvents(events, options = {}, signal) {
        const { producer, idempotencyKey = producer ? null : undefined } = options;
        const numbers = Object.entries(producer ?? {}).map(([name, value]) => [`producer-${name}`, String(value)]);
        return this.#post("/events", events, { headers: Object.fromEntries(numbers), idempotencyKey, signal });
    }
    /** Asks the running turn to stop; what was written stays. With `wait`, returns after its end. */
    cancel(options = {}, signal) {
        const { wait, ...fields } = options;
        return this.#post("/cancel", fields, { headers: preferOf(wait), signal });
    }
    /** The messages that wait for their turn, in the order in which they will run. */
    queue(signal) {
        return this.transport.json(`${this.#path}/queue`, { signal });
    }
    /** Takes a waiting message back. */
    withdraw(messageId, signal) {
        const path = `${this.#path}/queue/${encodeURIComponent(messageId)}`;
        return this.transport.json(path, { method: "DELETE", signal });
    }
    /** A tool call that has ended with its whole response, also one that is too large for an event. */
    toolCall(callId, signal) {
        return this.transport.json(`${this.#path}/tool_calls/${encodeURIComponent(callId)}`, { signal });
    }
    /** Lets a tool call run that waits for an approval. The same decision again changes nothing. */
    approve(callId, reason, signal) {
        return this.#decide(callId, "approval", { decision: "approve", ...(reason ? { reason } : {}) }, signal);
    }
    /** Refuses a tool call that waits for an approval. The model reads the reason. The same decision again changes nothing. */
    deny(callId, reason, signal) {
        return this.#decide(callId, "approval", { decision: "deny", ...(reason ? { reason } : {}) }, signal);
    }
    /** Sends the result of a tool that the client runs. */
    submitResult(callId, result, signal) {
        return this.#decide(callId, "result", { result }, signal);
    }
    /** Says why a tool that the client runs has no result. The model reads it. */
    submitError(callId, error, signal) {
        return this.#decide(callId, "result", { error }, signal);
    }
    /** Yields each event of the log once, in order, over any number of connections. `after: event.cursor` continues after it. */
    events(options = {}) {
        return openEvents(this.transport, this.id, options);
    }
    /**
     * Yields the conversation as it is now, and again after each event that follows. It is one object, which changes.
     *
     * The past is folded first, so what it shows as waiting does wait.
     */
    async *watch(options = {}) {
        const { head } = await this.info(options.signal);
        const conversation = new Conversation();
        for await (const event of this.events(options)) {
            conversation.apply(event);
            if (event.sequence >= head)
                yield conversation;
        }
    }
    #decide(callId, path, body, signal) {
        return this.#post(`/tool_calls/${encodeURIComponent(callId)}/${path}`, body, { signal, isRepeatable: true });
    }
    #post(path, body, options) {
        return this.transport.json(this.#path + path, { ...options, method: "POST", body });
    }
}
/** The wait that the service is asked for; without one it answers at once. */
function preferOf(seconds) {
    return { prefer: seconds ? `wait=${Math.ceil(seconds)}` : "respond-async" };
}
