/** The list of sessions. */

import { byId, h, place, set } from "../view/dom.js";

const PAGE = 30;

/** `onDelete` is called with a session whose deletion was confirmed. */
export class SessionList {
  #sessions = [];
  #items = new Map();
  #limit = PAGE;
  #hasMore = false;
  #more = h("li", {}, h("button", { class: "wide quiet", type: "button" }, "Show more"));
  current = null;

  constructor(load, onDelete) {
    this.load = load;
    this.onDelete = onDelete;
    this.#more.firstChild.addEventListener("click", () => {
      this.#limit = Math.min(this.#limit + PAGE, 200);
      void this.refresh();
    });
  }

  /** Loads the list again, and draws what changed. */
  async refresh() {
    const page = await this.load({ limit: this.#limit });
    if (!page) return;
    this.#sessions = page.sessions;
    this.#hasMore = page.next_cursor !== null && this.#limit < 200;
    this.draw();
  }

  draw() {
    const items = this.#sessions.map((session) => {
      let item = this.#items.get(session.session_id);
      if (!item) this.#items.set(session.session_id, (item = this.#newItem(session)));
      item.session = session;
      this.#fill(item, session);
      return item.element;
    });
    if (this.#hasMore) items.push(this.#more);
    if (items.length === 0) items.push(h("li", { class: "dim empty" }, "No session yet"));
    place(byId("sessions"), items);
  }

  #newItem(session) {
    const name = h("span", { class: "name" });
    const about = h("span", { class: "dim" });
    const dot = h("i", { class: "dot" });
    const link = h("a", { href: linkTo(session.session_id) }, dot, h("span", {}, name, about));
    const remove = h("button", { type: "button", class: "icon", title: "Delete", onclick: () => this.#confirm(item.session) }, "✕");
    const item = { element: h("li", {}, link, remove), session, link, name, about, dot, remove };
    return item;
  }

  #fill({ element, link, name, about, dot, remove }, session) {
    const isCurrent = session.session_id === this.current;
    element.classList.toggle("current", isCurrent);
    if (isCurrent) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    set(name, "textContent", nameOf(session));
    set(remove, "ariaLabel", `Delete ${nameOf(session)}`);
    set(dot, "className", `dot ${session.state}`);
    set(dot, "title", labelOf(session.state));
    set(about, "textContent", [age(session.updated_at), session.state === "idle" ? "" : labelOf(session.state)].filter(Boolean).join(" · "));
  }

  async #confirm(session) {
    const dialog = byId("confirm");
    byId("confirm-text").textContent = `“${nameOf(session)}” and its ${session.head} events are removed for good. A running turn ends.`;
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue === "ok") await this.onDelete(session.session_id);
  }
}

export const linkTo = (id) => `#/sessions/${encodeURIComponent(id)}`;

export function idInLocation() {
  const [, id] = /^#\/sessions\/(.+)$/.exec(location.hash) ?? [];
  return id ? decodeURIComponent(id) : null;
}

export const labelOf = (state) => (state === "requires_action" ? "waits for you" : state);

const nameOf = (session) => session.session_name || session.session_id;

function age(timestamp) {
  const seconds = Math.max(0, (Date.now() - Date.parse(timestamp)) / 1000);
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(timestamp).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}
