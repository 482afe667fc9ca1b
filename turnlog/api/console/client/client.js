/** The client: sessions, and the agents that answer in them. */
import { Session } from "./session.js";
import { Transport } from "./transport.js";
/** A client of one service. It holds no connection: there is nothing to close. */
export class Turnlog {
    #transport;
    constructor(options) {
        this.#transport = new Transport(options);
    }
    /** A session by its id; no request is made. */
    session(id) {
        return new Session(id, this.#transport);
    }
    /** Creates a session, with an id of your choice or of the service. */
    async createSession(options = {}, signal) {
        const { idempotencyKey, ...body } = options;
        const request = { method: "POST", body, idempotencyKey, signal };
        const { session_id } = await this.#transport.json("/sessions", request);
        return this.session(session_id);
    }
    /** One page of your sessions, newest first. */
    listSessions(filter = {}, signal) {
        return this.#transport.json("/sessions", { query: { ...filter }, signal });
    }
    getProject(id, signal) {
        return this.#transport.json(`/projects/${encodeURIComponent(id)}`, { signal });
    }
    listAgents(signal) {
        return this.#transport.json("/agents", { signal });
    }
}
