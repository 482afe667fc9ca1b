/** One turn folded from its events: what the user wrote, and the steps of the answer with their tool calls. */

import type { ActionKind, EventDataByType, KnownEvent } from "./events.js";
import type { Content } from "./options.js";
import type { Failure, Usage } from "./values.js";

/** A message of the user. A turn has several if others were sent into it while it ran (`steer`). */
export interface UserPart {
  readonly kind: "user";
  readonly messageId: string;
  /** The sender's own id of the message. */
  readonly clientId: string | null;
  readonly content: Content;
  readonly text: string;
}

/** One model call with the tools that it requested. `attempt` above 1: the step started again after a failure. */
export interface Step {
  readonly kind: "step";
  readonly number: number;
  attempt: number;
  reasoning: string;
  text: string;
  readonly tools: ToolCall[];
  isComplete: boolean;
  /** The turn was cancelled while the text was written. */
  isPartial: boolean;
  finishReason: string | null;
  /** Grows with each change of this step. */
  revision: number;
}

export type ToolStatus = "writing" | "running" | "waiting" | "completed" | "failed" | "cancelled" | "denied";

export interface ToolCall {
  readonly id: string;
  name: string;
  arguments: string;
  attempt: number;
  /** `writing`: the model still writes the arguments. `waiting`: for an approval, or for the client. */
  status: ToolStatus;
  response: unknown;
  durationMs: number | null;
  /** What a call that waits needs. */
  waitsFor: ActionKind | null;
  decision: "approve" | "deny" | "result" | null;
}

export type Part = UserPart | Step;
export type TurnStatus = "running" | "completed" | "failed" | "cancelled";

type DataOf<Type extends keyof EventDataByType> = Readonly<EventDataByType[Type]>;

export class Turn {
  status: TurnStatus = "running";
  agent = "";
  model = "";
  isCancelling = false;
  isStalled = false;
  error: Failure | null = null;
  /** What the turn changed in its project (RFC 6902); null if it changed nothing. */
  patch: readonly object[] | null = null;
  projectRevision: number | null = null;
  usage: Usage | null = null;
  durationMs: number | null = null;
  startedAt = "";
  readonly parts: Part[] = [];
  /** Grows with each change of this turn or one of its steps. */
  revision = 0;

  constructor(readonly id: string) {}

  get steps(): readonly Step[] {
    return this.parts.filter((part) => part.kind === "step");
  }

  /** The text of the answer: that of all steps. */
  get answer(): string {
    return this.steps.map((step) => step.text).filter(Boolean).join("\n\n");
  }

  /** Reads the next event of this turn. */
  apply(event: KnownEvent): void {
    this.revision += 1;
    switch (event.type) {
      case "user_message":
        this.#addMessage(event.message_id ?? "", event.data);
        break;
      case "run.start":
        this.agent = event.data.agent;
        this.model = event.data.model;
        this.startedAt = event.timestamp;
        break;
      case "status":
        this.isCancelling ||= event.data.status === "cancelling";
        this.isStalled = event.data.status === "stalled";
        break;
      case "vibecode_response":
        this.patch = event.data.patch;
        this.projectRevision = event.data.project_revision;
        break;
      case "run.complete":
        this.#finish(event.data);
        break;
      case "message.start":
        this.#startStep(event.data.step, event.data.attempt);
        break;
      case "message.delta":
        this.#changed(event.data.step).text += event.data.text;
        break;
      case "reasoning.delta":
        this.#changed(event.data.step).reasoning += event.data.text;
        break;
      case "message.complete":
        this.#completeStep(event.data);
        break;
      default:
        this.#applyToTool(event);
    }
  }

  #applyToTool(event: KnownEvent): void {
    switch (event.type) {
      case "tool_call.delta": {
        const tool = this.#tool(event.data.id, event.data.step);
        tool.name = event.data.name || tool.name;
        tool.arguments += event.data.arguments;
        break;
      }
      case "tool_call.start": {
        const { id, step, name, attempt } = event.data;
        this.isStalled = false;
        Object.assign(this.#tool(id, step), { name, attempt, arguments: event.data.arguments, status: "running" });
        break;
      }
      case "tool_call.action_required": {
        const { id, name, kind: waitsFor } = event.data;
        Object.assign(this.#tool(id), { name, arguments: event.data.arguments, status: "waiting", waitsFor });
        break;
      }
      case "tool_call.action":
        Object.assign(this.#tool(event.data.id), { decision: event.data.decision, status: "running" });
        break;
      case "tool_call.complete": {
        const { id, step, name, status, response, duration_ms } = event.data;
        this.isStalled = false;
        const changes = { name, arguments: event.data.arguments, status, response, durationMs: duration_ms };
        Object.assign(this.#tool(id, step), changes);
        break;
      }
    }
  }

  #addMessage(messageId: string, { content, text, client_id: clientId = null }: DataOf<"user_message">): void {
    this.parts.push({ kind: "user", messageId, clientId, content, text });
  }

  /** Takes out a message that gets a turn of its own: no step of this one has read it. */
  removeMessage(messageId: string): void {
    const index = this.parts.findIndex((part) => part.kind === "user" && part.messageId === messageId);
    if (index < 0) return;
    this.parts.splice(index, 1);
    this.revision += 1;
  }

  /** Begins a step, or begins it again: what an earlier attempt wrote is void. */
  #startStep(number: number, attempt: number): void {
    this.isStalled = false;
    const step = this.#changed(number);
    step.attempt = attempt;
    step.text = "";
    step.reasoning = "";
    step.tools.length = 0;
    step.isComplete = false;
  }

  #completeStep(data: DataOf<"message.complete">): void {
    this.isStalled = false;
    const step = this.#changed(data.step);
    step.attempt = data.attempt;
    step.text = data.text;
    step.reasoning = data.reasoning ?? step.reasoning;
    step.isComplete = true;
    step.isPartial = data.partial;
    step.finishReason = data.finish_reason;
  }

  #finish(data: DataOf<"run.complete">): void {
    this.status = data.status;
    this.error = data.error;
    this.usage = data.usage;
    this.durationMs = data.duration_ms;
    this.model = data.model || this.model;
    this.isCancelling = false;
    this.isStalled = false;
    for (const step of this.steps) step.revision += 1; // no longer written
  }

  /** The step with this number, counted as changed. */
  #changed(number: number): Step {
    let step = this.steps.find((each) => each.number === number);
    if (!step) {
      step = {
        kind: "step",
        number,
        attempt: 1,
        reasoning: "",
        text: "",
        tools: [],
        isComplete: false,
        isPartial: false,
        finishReason: null,
        revision: 0,
      };
      this.parts.push(step);
    }
    step.revision += 1;
    return step;
  }

  /** The call with this id; without a `number`, in whatever step it is. */
  #tool(id: string, number?: number): ToolCall {
    const owner = number ?? this.steps.find((step) => step.tools.some((tool) => tool.id === id))?.number;
    const step = this.#changed(owner ?? this.steps.at(-1)?.number ?? 1);
    let tool = step.tools.find((each) => each.id === id);
    if (!tool) {
      const empty = { name: "", arguments: "", attempt: 1, response: null, durationMs: null };
      tool = { id, status: "writing", waitsFor: null, decision: null, ...empty };
      step.tools.push(tool);
    }
    return tool;
  }
}
