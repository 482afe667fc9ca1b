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
    /** Ends a running turn, and deletes the session. */
    delete(signal) {
        return this.transport.json(this.#path, { method: "DELETE", signal });
    }
    /** Sends a message. Returns as soon as it is stored: `events` shows its turn. */
    send(content, options = {}, signal) {
        const { idempotencyKey, ...fields } = options;
        const request = { headers: { prefer: "respond-async" }, idempotencyKey, signal };
        return this.#post("/messages", { content, ...fields }, request);
    }
    /** The messages with their answers, oldest first. */
    messages(signal) {
        return this.transport.json(`${this.#path}/messages`, { signal });
    }
    /** Asks the running turn to stop; what was written stays. */
    cancel(options = {}, signal) {
        return this.#post("/cancel", options, { signal });
    }
    /** Takes a waiting message back. */
    withdraw(messageId, signal) {
        const path = `${this.#path}/queue/${encodeURIComponent(messageId)}`;
        return this.transport.json(path, { method: "DELETE", signal });
    }
    /** Lets a tool call run that waits for an approval. The same decision again changes nothing. */
    approve(callId, reason, signal) {
        return this.#decide(callId, "approve", reason, signal);
    }
    /** Refuses a tool call that waits for an approval. The model reads the reason. The same decision again changes nothing. */
    deny(callId, reason, signal) {
        return this.#decide(callId, "deny", reason, signal);
    }
    /** Sends the result of a tool that the client runs. */
    submitResult(callId, result, signal) {
        return this.#post(`/tool_calls/${encodeURIComponent(callId)}/result`, { result }, { signal, isRepeatable: true });
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
    #decide(callId, decision, reason, signal) {
        const body = { decision, ...(reason ? { reason } : {}) };
        return this.#post(`/tool_calls/${encodeURIComponent(callId)}/approval`, body, { signal, isRepeatable: true });
    }
    #post(path, body, options) {
        return this.transport.json(this.#path + path, { ...options, method: "POST", body });
    }
}
