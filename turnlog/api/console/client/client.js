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
    createSession(options = {}, signal) {
        return this.#sessionOf("/sessions", options, signal);
    }
    /**
     * The current session of a project or of one of its nodes; it is created if there is none.
     *
     * One that is archived or deleted is not current. Calls at the same time get the same session.
     */
    openSession(projectId, options = {}, signal) {
        return this.#sessionOf(`${pathOf(projectId)}/sessions`, options, signal);
    }
    /** One page of your sessions, newest first. */
    listSessions(filter = {}, signal) {
        const { metadata = {}, ...fields } = filter;
        const keys = Object.fromEntries(Object.entries(metadata).map(([key, text]) => [`metadata.${key}`, text]));
        return this.#transport.json("/sessions", { query: { ...fields, ...keys }, signal });
    }
    /** A message with its answer, of whatever session. */
    getMessage(id, signal) {
        return this.#transport.json(`/messages/${encodeURIComponent(id)}`, { signal });
    }
    createProject(name, options = {}, signal) {
        const { idempotencyKey, ...fields } = options;
        return this.#transport.json("/projects", { method: "POST", body: { name, ...fields }, idempotencyKey, signal });
    }
    /** One page of your projects, newest first. */
    listProjects(filter = {}, signal) {
        return this.#transport.json("/projects", { query: { ...filter }, signal });
    }
    getProject(id, signal) {
        return this.#transport.json(pathOf(id), { signal });
    }
    /**
     * Changes the project; `null` removes a value.
     *
     * @throws TurnlogProblem with the code `precondition_failed` if it has another revision. If an answer was lost before,
     * that may be this change itself: read the project.
     */
    updateProject(id, changes, signal) {
        const { ifRevision, ...body } = changes;
        const headers = ifRevision === undefined ? {} : { "if-match": `"${ifRevision}"` };
        return this.#transport.json(pathOf(id), { method: "PATCH", headers, body, signal });
    }
    /** Deletes the project and its sessions. `undefined`: all are deleted; otherwise `getDeletion` says how far it is. */
    deleteProject(id, signal) {
        return this.#transport.json(pathOf(id), { method: "DELETE", signal });
    }
    getDeletion(projectId, signal) {
        return this.#transport.json(`${pathOf(projectId)}/deletion`, { signal });
    }
    /** What all sessions of the project used, also the deleted ones. */
    getProjectUsage(id, signal) {
        return this.#transport.json(`${pathOf(id)}/usage`, { signal });
    }
    listAgents(signal) {
        return this.#transport.json("/agents", { signal });
    }
    /** Posts the options, and returns the session that the answer names. */
    async #sessionOf(path, options, signal) {
        const { idempotencyKey, ...body } = options;
        const request = { method: "POST", body, idempotencyKey, signal };
        const { session_id } = await this.#transport.json(path, request);
        return this.session(session_id);
    }
}
function pathOf(projectId) {
    return `/projects/${encodeURIComponent(projectId)}`;
}
