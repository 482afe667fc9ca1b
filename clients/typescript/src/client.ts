/** The client: sessions, and the agents that answer in them. */

import { Session } from "./session.js";
import { Transport, type ClientOptions } from "./transport.js";
import type {
  CreateProject,
  CreateSession,
  ListProjects,
  ListSessions,
  OfRevision,
  OpenSession,
  Repeatable,
  UpdateProject,
} from "./options.js";
import type { AgentList, Deletion, Message, Project, ProjectPage, SessionPage, UsageReport } from "./values.js";

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
  createSession(options: CreateSession & Repeatable = {}, signal?: AbortSignal): Promise<Session> {
    return this.#sessionOf("/sessions", options, signal);
  }

  /**
   * The current session of a project or of one of its nodes; it is created if there is none.
   *
   * One that is archived or deleted is not current. Calls at the same time get the same session.
   */
  openSession(projectId: string, options: OpenSession & Repeatable = {}, signal?: AbortSignal): Promise<Session> {
    return this.#sessionOf(`${pathOf(projectId)}/sessions`, options, signal);
  }

  /** One page of your sessions, newest first. */
  listSessions(filter: ListSessions = {}, signal?: AbortSignal): Promise<SessionPage> {
    const { metadata = {}, ...fields } = filter;
    const keys = Object.fromEntries(Object.entries(metadata).map(([key, text]) => [`metadata.${key}`, text]));
    return this.#transport.json("/sessions", { query: { ...fields, ...keys }, signal });
  }

  /** A message with its answer, of whatever session. */
  getMessage(id: string, signal?: AbortSignal): Promise<Message> {
    return this.#transport.json(`/messages/${encodeURIComponent(id)}`, { signal });
  }

  createProject(name: string, options: CreateProject & Repeatable = {}, signal?: AbortSignal): Promise<Project> {
    const { idempotencyKey, ...fields } = options;
    return this.#transport.json("/projects", { method: "POST", body: { name, ...fields }, idempotencyKey, signal });
  }

  /** One page of your projects, newest first. */
  listProjects(filter: ListProjects = {}, signal?: AbortSignal): Promise<ProjectPage> {
    return this.#transport.json("/projects", { query: { ...filter }, signal });
  }

  getProject(id: string, signal?: AbortSignal): Promise<Project> {
    return this.#transport.json(pathOf(id), { signal });
  }

  /**
   * Changes the project; `null` removes a value.
   *
   * @throws TurnlogProblem with the code `precondition_failed` if it has another revision. If an answer was lost before,
   * that may be this change itself: read the project.
   */
  updateProject(id: string, changes: UpdateProject & OfRevision, signal?: AbortSignal): Promise<Project> {
    const { ifRevision, ...body } = changes;
    const headers: Record<string, string> = ifRevision === undefined ? {} : { "if-match": `"${ifRevision}"` };
    return this.#transport.json(pathOf(id), { method: "PATCH", headers, body, signal });
  }

  /** Deletes the project and its sessions. `undefined`: all are deleted; otherwise `getDeletion` says how far it is. */
  deleteProject(id: string, signal?: AbortSignal): Promise<Deletion | undefined> {
    return this.#transport.json(pathOf(id), { method: "DELETE", signal });
  }

  getDeletion(projectId: string, signal?: AbortSignal): Promise<Deletion> {
    return this.#transport.json(`${pathOf(projectId)}/deletion`, { signal });
  }

  /** What all sessions of the project used, also the deleted ones. */
  getProjectUsage(id: string, signal?: AbortSignal): Promise<UsageReport> {
    return this.#transport.json(`${pathOf(id)}/usage`, { signal });
  }

  listAgents(signal?: AbortSignal): Promise<AgentList> {
    return this.#transport.json("/agents", { signal });
  }

  /** Posts the options, and returns the session that the answer names. */
  async #sessionOf(path: string, options: Repeatable, signal?: AbortSignal): Promise<Session> {
    const { idempotencyKey, ...body } = options;
    const request = { method: "POST", body, idempotencyKey, signal };
    const { session_id } = await this.#transport.json<{ session_id: string }>(path, request);
    return this.session(session_id);
  }
}

function pathOf(projectId: string): string {
  return `/projects/${encodeURIComponent(projectId)}`;
}
