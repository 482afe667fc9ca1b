/** The client: sessions, and the agents that answer in them. */

import { Session } from "./session.js";
import { Transport, type ClientOptions } from "./transport.js";
import type { AgentList, CreateSession, ListSessions, Project, Repeatable, SessionPage } from "./values.js";

/** A client of one service. It holds no connection: there is nothing to close. */
export class Turnlog {
  readonly #transport: Transport;

  constructor(options: ClientOptions) {
    this.#transport = new Transport(options);
  }

  /** A session by its id; no request is made. */
  session(id: string): Session {
    return new Session(id, this.#transport);
  }

  /** Creates a session, with an id of your choice or of the service. */
  async createSession(options: CreateSession & Repeatable = {}, signal?: AbortSignal): Promise<Session> {
    const { idempotencyKey, ...body } = options;
    const request = { method: "POST", body, idempotencyKey, signal };
    const { session_id } = await this.#transport.json<{ session_id: string }>("/sessions", request);
    return this.session(session_id);
  }

  /** One page of your sessions, newest first. */
  listSessions(filter: ListSessions = {}, signal?: AbortSignal): Promise<SessionPage> {
    return this.#transport.json("/sessions", { query: { ...filter }, signal });
  }

  getProject(id: string, signal?: AbortSignal): Promise<Project> {
    return this.#transport.json(`/projects/${encodeURIComponent(id)}`, { signal });
  }

  listAgents(signal?: AbortSignal): Promise<AgentList> {
    return this.#transport.json("/agents", { signal });
  }
}
