/** Writes a message: text, agent, model, what to do while a turn runs, and the messages that wait. */

import { newIdempotencyKey } from "../client/index.js";
import { byId, h, place, set } from "../view/dom.js";
import { Keys } from "./keys.js";

const IME_KEY = 229; // what a key is that a composition of characters takes

/** `onSend` returns whether the message was stored; `onStop` and `onWithdraw` act at once. */
export class Composer {
  #content = byId("content");
  #agent = byId("agent");
  #model = byId("model");
  #queue = [];
  #queueIds = "";
  #sending = [];
  #unsent = null; // keys and options of the message that came back into the field, until somebody changes it
  #default = "";
  #chosen = null; // the name that was chosen, also while no agent has it
  agents = [];

  constructor({ onSend, onStop, onWithdraw, onPick }) {
    this.onSend = onSend;
    this.onStop = onStop;
    this.onWithdraw = onWithdraw;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit();
    });
    this.#content.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === IME_KEY) return;
      event.preventDefault();
      void this.submit();
    });
    this.#content.addEventListener("input", () => this.#resize());
    byId("composer").addEventListener("input", () => {
      this.#unsent = null; // another text, agent or model: another message
    });
    byId("stop").addEventListener("click", () => this.onStop());
    this.#agent.addEventListener("focus", () => onPick());
    this.#agent.addEventListener("change", () => this.choose(this.#agent.value));
  }

  focus() {
    if (matchMedia("(hover: hover)").matches) this.#content.focus(); // else a keyboard would cover the screen
  }

  /** Shows the agents that there are now. What was chosen stays chosen. */
  showAgents({ agents, default: name }) {
    this.agents = agents;
    this.#default = name;
    const options = agents.map((agent) => h("option", { value: agent.name, title: agent.description }, agent.name));
    this.#agent.replaceChildren(...options);
    this.choose(this.#chosen);
    const models = [...new Set(agents.map((agent) => agent.model).filter(Boolean))];
    byId("models").replaceChildren(...models.map((value) => h("option", { value })));
  }

  /** Chooses the agent of a session; the default one if there is none of this name. */
  choose(name) {
    this.#chosen = name;
    this.#agent.value = this.agents.some((agent) => agent.name === name) ? name : this.#default;
    this.#showDefaultModel();
  }

  /** Sends what is written. If it can't be stored, it stays in the field. */
  async submit() {
    const text = this.#content.value.trim();
    if (!text) return;
    const chosen = { agent: this.#agent.value, model: this.#model.value.trim(), on_busy: byId("busy").value };
    const unsent = this.#unsent ?? { options: chosen };
    this.#unsent = null;
    this.#content.value = "";
    await this.send(text, unsent.options, unsent);
  }

  /** `keys` and `clientId` are those of the first try to send this message. */
  async send(text, options, { keys = new Keys(), clientId = newIdempotencyKey() } = {}) {
    const { agent, model, name, on_busy } = options;
    this.#resize();
    const row = { text, clientId, isShown: false };
    this.#sending.push(row);
    this.#drawQueue();
    const given = { ...(agent ? { agent } : {}), ...(model ? { model } : {}), ...(on_busy ? { on_busy } : {}), name };
    const isStored = await this.onSend(text, { ...given, client_id: clientId }, keys);
    this.#sending = this.#sending.filter((each) => each !== row);
    this.#drawQueue();
    if (!isStored && !row.isShown) this.#giveBack(text, { options, keys, clientId });
  }

  /** Puts a message that could not be stored into the field, before what was written since. */
  #giveBack(text, unsent) {
    this.#unsent = this.#content.value ? null : unsent;
    this.#content.value = [text, this.#content.value].filter(Boolean).join("\n");
    this.#resize();
  }

  /** Takes no more messages: the session is gone. */
  disable() {
    this.#setDisabled(true);
    this.#content.placeholder = "This session was deleted";
  }

  #setDisabled(isDisabled) {
    this.#content.disabled = isDisabled;
    byId("send").disabled = isDisabled;
  }

  /** Shows what the conversation allows: stop a running turn, take a waiting message back. */
  show(conversation) {
    const isRunning = conversation.activeTurn !== undefined;
    set(byId("stop"), "hidden", !isRunning);
    set(byId("stop"), "disabled", conversation.state === "cancelling");
    set(byId("busy-label"), "hidden", !isRunning);
    if (!this.#content.disabled) set(this.#content, "placeholder", isRunning ? "Message: it waits for this turn" : "Message");
    for (const row of this.#sending) row.isShown ||= conversation.has(row.clientId); // the stream may be first
    if (this.#sending.some((row) => row.isShown)) {
      this.#sending = this.#sending.filter((row) => !row.isShown);
      this.#drawQueue();
    }
    const ids = conversation.queue.map((each) => each.messageId).join();
    if (this.#queueIds !== ids) {
      this.#queue = [...conversation.queue];
      this.#queueIds = ids;
      this.#drawQueue();
    }
  }

  clear() {
    this.#queue = [];
    this.#queueIds = "";
    this.#sending = [];
    this.#unsent = null;
    this.#drawQueue();
    this.#setDisabled(false);
    for (const id of ["stop", "busy-label"]) byId(id).hidden = true;
    this.#content.placeholder = "Message";
  }

  #drawQueue() {
    const waiting = this.#queue.map(({ messageId, text, onBusy }) => {
      const back = h("button", { type: "button", class: "icon", "aria-label": `Take back: ${text}`, onclick: () => this.onWithdraw(messageId) }, "✕");
      return h("li", {}, h("span", { class: "chip" }, onBusy === "enqueue" ? "waits" : onBusy), h("span", { class: "brief" }, text), back);
    });
    const sending = this.#sending.map(({ text }) => h("li", { class: "dim" }, h("span", { class: "chip" }, "sending"), h("span", { class: "brief" }, text)));
    place(byId("queue"), [...waiting, ...sending]);
  }

  #showDefaultModel() {
    const agent = this.agents.find((each) => each.name === this.#agent.value);
    this.#model.placeholder = agent?.model || "Model";
  }

  #resize() {
    this.#content.style.height = "auto";
    this.#content.style.height = `${Math.min(this.#content.scrollHeight, 240)}px`;
  }
}
