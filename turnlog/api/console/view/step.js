/** One step of an answer on the page: reasoning, text, and tool calls. */

import { h, number, place, set } from "./dom.js";
import { showText } from "./markdown.js";
import { ToolView } from "./tool.js";

export class StepView {
  element = h("div", { class: "step" });
  #revision = -1;
  #attempt = h("p", { class: "note" });
  #reasoningText = h("div", { class: "reasoning-text" });
  #reasoningLabel = h("summary", {});
  #reasoning = h("details", { class: "reasoning" }, this.#reasoningLabel, this.#reasoningText);
  #text = h("div", { class: "text" });
  #tools = new Map();

  constructor(act) {
    this.act = act;
  }

  show(step, turn) {
    if (this.#revision === step.revision) return;
    this.#revision = step.revision;
    const isWriting = turn.status === "running" && !step.isComplete;
    const parts = [];
    if (step.attempt > 1) {
      set(this.#attempt, "textContent", `Started again · attempt ${step.attempt}`);
      set(this.#attempt, "title", "The server was interrupted in this step. What the earlier attempt wrote is void.");
      parts.push(this.#attempt);
    }
    if (step.reasoning) parts.push(this.#showReasoning(step, isWriting && !step.text));
    if (step.text || (isWriting && !step.reasoning && step.tools.length === 0)) {
      showText(this.#text, step.text);
      this.#text.classList.toggle("writing", isWriting && step.tools.length === 0);
      parts.push(this.#text);
    }
    parts.push(...step.tools.map((tool) => this.#tool(tool)));
    place(this.element, parts);
  }

  #showReasoning(step, isReasoning) {
    const words = step.reasoning.trim().split(/\s+/).length;
    set(this.#reasoningLabel, "textContent", isReasoning ? "Reasoning …" : `Reasoning · ${number(words)} words`);
    this.#reasoning.classList.toggle("busy", isReasoning);
    set(this.#reasoningText, "textContent", step.reasoning);
    return this.#reasoning;
  }

  #tool(tool) {
    let view = this.#tools.get(tool.id);
    if (!view) this.#tools.set(tool.id, (view = new ToolView(tool.id, this.act)));
    view.show(tool);
    return view.element;
  }
}
