/** The conversation on the page. Only turns, steps and blocks of text that changed are drawn again. */

import { duration, h, number, place, pretty, set } from "./dom.js";
import { StepView } from "./step.js";

/** `act` has what a button does: approve, deny, submitResult, loadProject; `sendAgain` returns a function that sends. */
export class ChatView {
  #views = new Map();

  constructor(root, act) {
    this.root = root;
    this.act = act;
  }

  clear() {
    this.#views.clear();
    this.root.replaceChildren();
  }

  show(conversation) {
    const elements = conversation.turns.map((turn) => {
      let view = this.#views.get(turn.id);
      if (!view) this.#views.set(turn.id, (view = new TurnView(this.act)));
      view.show(turn);
      return view.element;
    });
    place(this.root, elements);
  }
}

class TurnView {
  element = h("article", { class: "turn" });
  #revision = -1;
  #parts = new Map();
  #footer = h("footer", { class: "turn-end" });
  #patch = null;
  #failed = null;
  #begin = h("div", { class: "dots", "aria-label": "The turn begins" }, h("i"), h("i"), h("i"));

  constructor(act) {
    this.act = act;
  }

  show(turn) {
    if (this.#revision === turn.revision) return;
    this.#revision = turn.revision;
    const parts = turn.parts.map((part) => (part.kind === "user" ? this.#user(part) : this.#step(part, turn)));
    const isBeginning = turn.status === "running" && turn.steps.length === 0;
    place(this.element, [...parts, ...(isBeginning ? [this.#begin] : []), ...this.#end(turn)]);
  }

  #user(part) {
    let element = this.#parts.get(part.messageId);
    if (!element) {
      element = h("div", { class: "user" }, h("span", { class: "hidden" }, "You: "), part.text);
      this.#parts.set(part.messageId, element);
    }
    return element;
  }

  #step(step, turn) {
    let view = this.#parts.get(step.number);
    if (!view) this.#parts.set(step.number, (view = new StepView(this.act)));
    view.show(step, turn);
    return view.element;
  }

  #end(turn) {
    if (turn.isStalled) return [h("p", { class: "note warn" }, "The server stopped in this step. Another one takes over soon.")];
    if (turn.status === "running") return [];
    const parts = [];
    const before = [];
    if (turn.patch) before.push((this.#patch ??= this.#patchElement(turn)));
    if (turn.error) before.push((this.#failed ??= this.#failure(turn)));
    if (turn.status === "cancelled") parts.push(h("span", { class: "chip" }, "stopped"));
    if (turn.usage) parts.push(`${number(turn.usage.total_tokens ?? 0)} tokens`);
    if (turn.durationMs !== null) parts.push(duration(turn.durationMs));
    set(this.#footer, "textContent", "");
    this.#footer.append(...parts.flatMap((part, index) => (index > 0 ? [" · ", part] : [part])));
    if (turn.agent) set(this.#footer, "title", `agent ${turn.agent}, model ${turn.model}`);
    return [...before, this.#footer];
  }

  /** The change of the project's document, and the whole document as it is now. */
  #patchElement(turn) {
    const whole = h("pre", { class: "code", tabIndex: 0, hidden: true });
    const load = async () => {
      const project = await this.act.loadProject();
      if (!project) return;
      whole.hidden = false;
      whole.textContent = `// revision ${project.revision}\n${pretty(project.document)}`;
    };
    const changes = turn.patch.map(({ op, path }) => `${op} ${path}`).join(", ");
    const label = h("summary", {}, h("b", {}, "Project changed"), h("span", { class: "brief" }, changes), h("span", { class: "chip" }, `revision ${turn.projectRevision}`));
    const button = h("button", { type: "button", onclick: load }, "Show the document");
    const body = h("div", { class: "tool-body" }, h("h5", {}, "Patch"), h("pre", { class: "code", tabIndex: 0 }, pretty(turn.patch)), h("div", {}, button), whole);
    return h("div", { class: "tool completed" }, h("details", {}, label, body));
  }

  #failure(turn) {
    const content = turn.parts.find((part) => part.kind === "user")?.content;
    const { agent, model } = turn;
    const send = this.act.sendAgain(content, { ...(agent ? { agent } : {}), ...(model ? { model } : {}) });
    const onclick = async () => {
      again.disabled = true; // it is sent once
      again.disabled = await send();
    };
    const again = h("button", { class: "quiet", type: "button", onclick }, "Send again");
    const { code, message } = turn.error;
    return h("div", { class: "failure" }, h("strong", {}, "The turn failed. "), message, " ", h("code", {}, code), h("div", {}, again));
  }
}
