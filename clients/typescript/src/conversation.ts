/** A session folded from its events: turns, what waits, and what was used. */

import { isKnown, type ActionKind, type EventDataByType, type KnownEvent, type OnBusy, type TurnlogEvent } from "./events.js";
import { Turn } from "./turn.js";
import type { SessionState } from "./values.js";

/** A tool call that waits: for an approval, or for the client to run it. */
export interface Action {
  readonly callId: string;
  readonly kind: ActionKind;
  readonly name: string;
  readonly arguments: string;
  readonly expiresAt: string;
}

/** A message that waits for its turn. */
export interface Queued {
  readonly messageId: string;
  /** The sender's own id of the message. */
  readonly clientId: string | null;
  readonly text: string;
  readonly onBusy: OnBusy;
}

/** The tokens of one model call. */
export interface UsageSample {
  readonly sequence: number;
  readonly model: string;
  readonly input: number;
  readonly output: number;
}

/** Give it each event of a session, in order. The same events always give the same conversation. */
export class Conversation {
  sessionName: string | null = null;
  agentName: string | null = null;
  projectId: string | null = null;
  isDeleted = false;
  /** The sequence of the last event. */
  head = 0;
  /** Grows with each event that changes something here. */
  revision = 0;
  readonly turns: Turn[] = [];
  readonly queue: Queued[] = [];
  readonly actions: Action[] = [];
  readonly usage: UsageSample[] = [];
  readonly #byId = new Map<string, Turn>();

  /** The turn that runs or waits for an action, if any. */
  get activeTurn(): Turn | undefined {
    const last = this.turns.at(-1);
    return last?.status === "running" ? last : undefined;
  }

  /** What a user interface shows. A turn is queued until a process begins it. */
  get state(): SessionState {
    const turn = this.activeTurn;
    if (!turn) return this.queue.length > 0 ? "queued" : "idle";
    if (turn.isCancelling) return "cancelling";
    if (this.actions.length > 0) return "requires_action";
    if (turn.isStalled) return "stalled";
    return turn.steps.length > 0 ? "running" : "queued";
  }

  /** Whether the message that was sent with this `client_id` is here: it waits, or it is in a turn. */
  has(clientId: string): boolean {
    const sent = [...this.queue, ...this.turns.flatMap((turn) => turn.parts.filter((part) => part.kind === "user"))];
    return sent.some((message) => message.clientId === clientId);
  }

  /** Reads the next event. Events of other producers and of unknown types change nothing but `head`. */
  apply(event: TurnlogEvent): void {
    if (event.sequence <= this.head) return;
    this.head = event.sequence;
    if (!isKnown(event)) return;
    this.revision += 1;
    this.#applyToSession(event);
    if (event.turn_id === null || event.type.startsWith("message.queued") || event.type === "message.withdrawn") return;
    this.#turn(event.turn_id).apply(event);
  }

  #applyToSession(event: KnownEvent): void {
    switch (event.type) {
      case "session.created":
        this.sessionName = event.data.session_name;
        this.agentName = event.data.agent_name;
        this.projectId = event.data.project_id;
        break;
      case "session.updated":
        if (event.data.session_name !== undefined) this.sessionName = event.data.session_name;
        if (event.data.agent_name !== undefined) this.agentName = event.data.agent_name;
        break;
      case "session.deleted":
        this.isDeleted = true;
        break;
      case "message.queued":
        this.#enqueue(event.message_id ?? "", event.data);
        break;
      case "message.withdrawn":
        removeWhere(this.queue, (each) => each.messageId === event.message_id);
        break;
      case "user_message":
        removeWhere(this.queue, (each) => each.messageId === event.message_id);
        for (const turn of this.turns.slice(-2)) if (turn.id !== event.turn_id) turn.removeMessage(event.message_id ?? "");
        break;
      case "token_usage": {
        const { model, prompt_tokens: input, completion_tokens: output } = event.data;
        this.usage.push({ sequence: event.sequence, model, input, output });
        break;
      }
      case "tool_call.action_required": {
        const { id: callId, kind, name, expires_at: expiresAt } = event.data;
        this.actions.push({ callId, kind, name, arguments: event.data.arguments, expiresAt });
        break;
      }
      case "tool_call.action":
      case "tool_call.complete":
        removeWhere(this.actions, (each) => each.callId === event.data.id);
        break;
      case "run.complete":
        this.actions.length = 0;
        break;
    }
  }

  #enqueue(messageId: string, data: EventDataByType["message.queued"]): void {
    const { text, on_busy: onBusy, client_id: clientId = null } = data;
    const queued = { messageId, clientId, text, onBusy };
    // Messages ahead of the others: the newest interruption first, the others behind those that are ahead already.
    const ahead = this.queue.findIndex((each) => each.onBusy === "enqueue");
    if (onBusy === "interrupt") this.queue.unshift(queued);
    else if (onBusy === "steer" && ahead >= 0) this.queue.splice(ahead, 0, queued);
    else this.queue.push(queued);
  }

  #turn(id: string): Turn {
    let turn = this.#byId.get(id);
    if (!turn) {
      turn = new Turn(id);
      this.#byId.set(id, turn);
      this.turns.push(turn);
    }
    return turn;
  }
}

function removeWhere<Item>(items: Item[], matches: (item: Item) => boolean): void {
  const index = items.findIndex(matches);
  if (index >= 0) items.splice(index, 1);
}
