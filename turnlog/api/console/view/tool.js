/** A tool call on the page: arguments, result, and the buttons of one that waits. */

import { duration, h, place, pretty, set } from "./dom.js";

const LABELS = {
  writing: "is written",
  running: "running",
  waiting: "waits for you",
  completed: "done",
  failed: "failed",
  cancelled: "stopped",
  denied: "denied",
};

export class ToolView {
  #shown = "";
  #name = h("b", {});
  #brief = h("span", { class: "brief" });
  #status = h("span", { class: "chip" });
  #arguments = h("pre", { class: "code", tabIndex: 0 });
  #result = h("pre", { class: "code", tabIndex: 0 });
  #body = h("div", { class: "tool-body" });
  #details = h("details", {}, h("summary", {}, this.#name, this.#brief, this.#status), this.#body);
  #decision = null;
  element = h("div", { class: "tool" }, this.#details);

  constructor(id, act) {
    this.id = id;
    this.act = act;
  }

  show(tool) {
    const version = `${tool.status} ${tool.name} ${tool.arguments.length} ${tool.decision}`;
    if (this.#shown === version) return;
    this.#shown = version;
    set(this.element, "className", `tool ${tool.status}`);
    set(this.#name, "textContent", tool.name || "…");
    set(this.#brief, "textContent", tool.arguments.replace(/\s+/g, " ").slice(0, 120));
    const took = !tool.durationMs ? "" : ` · ${duration(tool.durationMs)}`;
    set(this.#status, "textContent", LABELS[tool.status] + took);
    set(this.#arguments, "textContent", pretty(tool.arguments || "{}"));
    const body = [h("h5", {}, "Arguments"), this.#arguments];
    if (tool.durationMs !== null) {
      this.#showResult(tool);
      body.push(h("h5", {}, "Result"), this.#result);
    }
    place(this.#body, body);
    this.#showDecision(tool);
  }

  #showResult({ response }) {
    const href = this.#linkOf(response);
    if (!href) set(this.#result, "textContent", pretty(response));
    else this.#result.replaceChildren(h("a", { href, target: "_blank", rel: "noopener" }, "A large result: open it"));
  }

  /** The link that the service puts in place of a large result; a tool's own result may have an `href` as well. */
  #linkOf(response) {
    if (response === null || typeof response !== "object" || Object.keys(response).join() !== "href") return null;
    const { href } = response;
    const isOurs = typeof href === "string" && href.startsWith("/sessions/") && href.endsWith(`/tool_calls/${this.id}`);
    return isOurs && href.split("/").length === 5 ? href : null;
  }

  #showDecision(tool) {
    if (tool.status !== "waiting") {
      this.#decision?.remove();
      this.#decision = null;
    } else if (!this.#decision) {
      this.#details.open = true;
      this.#decision = tool.waitsFor === "client_tool" ? this.#answerForm() : this.#approvalButtons();
      this.element.append(this.#decision);
    }
  }

  #approvalButtons() {
    const reason = h("input", { placeholder: "Reason (optional)", "aria-label": "Reason" });
    return this.#form(
      () => this.act.approve(this.id, reason.value),
      reason,
      h("button", { type: "button", class: "danger", onclick: () => this.#decide(() => this.act.deny(this.id, reason.value)) }, "Deny"),
      h("button", { type: "submit", class: "primary" }, "Approve"),
    );
  }

  #answerForm() {
    const answer = h("input", { placeholder: "Your answer", "aria-label": "Your answer", required: true });
    return this.#form(() => this.act.submitResult(this.id, answer.value), answer, h("button", { type: "submit", class: "primary" }, "Answer"));
  }

  #form(submit, ...children) {
    const form = h("form", { class: "decision" }, ...children);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#decide(submit);
    });
    return form;
  }

  /** Sends the decision; its buttons stay disabled unless it fails. The stream then shows what happened. */
  async #decide(send) {
    const controls = [...this.#decision.elements];
    for (const each of controls) each.disabled = true;
    if (!(await send())) for (const each of controls) each.disabled = false;
  }
}
