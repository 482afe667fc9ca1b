/** The log as a list of rows. Only the rows in view are elements, so its length does not matter. */

import { byId, h, number, oncePerFrame, place, pretty, set, trackEnd } from "./dom.js";

const ROW = 26; // pixels; as in console.css
const DELTAS = new Set(["message.delta", "reasoning.delta", "tool_call.delta"]);
/** @type {[string, (type: string) => boolean][]} */
const KINDS = [
  ["text", (type) => /^(user_message|message\.|reasoning\.)/.test(type)],
  ["tools", (type) => type.startsWith("tool_call.")],
  ["turns", (type) => /^(run\.|status$|error$|token_usage$|vibecode_)/.test(type)],
  ["other", () => true],
];

export const kindOf = (type) => KINDS.find(([, matches]) => matches(type))[0];

/** Deltas that follow each other in one step are one row. */
export function addRow(rows, event) {
  const last = rows.at(-1);
  const { type, data } = event;
  if (last && DELTAS.has(type) && last.type === type && last.step === data.step && last.attempt === data.attempt && last.call === data.id) {
    last.events.push(event);
    return last;
  }
  const row = { type, kind: kindOf(type), step: data.step, attempt: data.attempt, call: data.id, events: [event] };
  rows.push(row);
  return row;
}

function briefOf({ type, events }) {
  const { data } = events[0];
  if (DELTAS.has(type)) {
    const text = events.slice(0, 20).map((event) => event.data.text ?? event.data.arguments ?? "").join("");
    return events.length > 1 ? `×${events.length}  ${text}` : text;
  }
  switch (type) {
    case "user_message": case "message.queued": case "message.complete": return data.text;
    case "message.start": return `step ${data.step}` + (data.attempt > 1 ? `, attempt ${data.attempt}` : "");
    case "run.start": return `${data.agent} · ${data.model}`;
    case "run.complete": return data.status + (data.error ? `: ${data.error.code}` : "");
    case "token_usage": return `${number(data.prompt_tokens)} in, ${number(data.completion_tokens)} out`;
    case "tool_call.start": case "tool_call.action_required": return `${data.name} ${data.arguments}`;
    case "tool_call.complete": return `${data.name}: ${data.status}`;
    case "tool_call.action": return data.decision;
    case "status": return data.status;
    default: return data.message ?? data.text ?? "";
  }
}

export class LogView {
  #rows = [];
  #shown = [];
  #read = 0;
  events = [];
  #hidden = new Set();
  #text = "";
  #selected = null;
  #active = null; // the row that the arrow keys have reached
  #elements = new Map(); // of the rows in view
  #list = byId("rows");
  #spacer = /** @type {HTMLElement} */ (byId("rows").firstElementChild);
  #isAtEnd = true;
  isOpen = false;

  constructor() {
    const draw = oncePerFrame(() => this.#draw());
    trackEnd(this.#list, ROW, (isAtEnd) => {
      this.#isAtEnd = isAtEnd;
      draw();
    });
    new ResizeObserver(draw).observe(this.#list);
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
    const filter = byId("filter");
    filter.addEventListener("input", () => {
      this.#text = filter.value.trim().toLowerCase();
      this.#filter();
    });
    byId("chips").append(...KINDS.map(([kind]) => this.#chip(kind)));
  }

  /** Starts with another session, whose `events` grow. */
  follow(events) {
    this.events = events;
    this.#rows = [];
    this.#shown = [];
    this.#read = 0;
    this.#active = null;
    this.#select(null);
    this.#isAtEnd = true;
    this.#draw();
  }

  /** Reads the events that came since the last time. */
  show() {
    for (; this.#read < this.events.length; this.#read += 1) {
      const count = this.#rows.length;
      const row = addRow(this.#rows, this.events[this.#read]);
      if (this.#rows.length > count && this.#matches(row)) this.#shown.push(row);
    }
    if (this.isOpen) this.#draw();
  }

  #chip(kind) {
    const toggle = (event) => {
      if (this.#hidden.has(kind)) this.#hidden.delete(kind);
      else this.#hidden.add(kind);
      event.target.setAttribute("aria-pressed", String(!this.#hidden.has(kind)));
      this.#filter();
    };
    return h("button", { type: "button", class: `chip kind-${kind}`, "aria-pressed": "true", onclick: toggle }, kind);
  }

  #matches(row) {
    if (this.#hidden.has(row.kind)) return false;
    return !this.#text || row.type.includes(this.#text) || briefOf(row).toLowerCase().includes(this.#text);
  }

  #filter() {
    this.#shown = this.#rows.filter((row) => this.#matches(row));
    this.#draw();
  }

  #draw() {
    if (!this.isOpen) return;
    const all = this.events.length;
    set(byId("log-count"), "textContent", `${number(all)} event${all === 1 ? "" : "s"}`);
    const height = `${this.#shown.length * ROW}px`;
    if (this.#spacer.style.height !== height) this.#spacer.style.height = height;
    if (this.#isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
    const first = Math.max(0, Math.floor(this.#list.scrollTop / ROW) - 4);
    const count = Math.ceil(this.#list.clientHeight / ROW) + 8;
    this.#place(this.#shown.slice(first, first + count), first);
  }

  /** Shows these rows. Elements of rows that stay are kept: somebody may be clicking on one. */
  #place(rows, first) {
    const parts = new Map(rows.map((row) => [row, this.#elements.get(row) ?? this.#newElement(row)]));
    for (const [row, { element }] of this.#elements) if (!parts.has(row)) element.remove();
    this.#elements = parts;
    rows.forEach((row, index) => this.#fill(row, parts.get(row), first + index));
    place(this.#spacer, [...parts.values()].map(({ element }) => element));
    const active = parts.get(this.#active)?.element.id;
    if (active) this.#list.setAttribute("aria-activedescendant", active);
    else this.#list.removeAttribute("aria-activedescendant");
  }

  #newElement(row) {
    const { events, type, kind } = row;
    const time = new Date(events[0].timestamp).toLocaleTimeString("en-GB");
    const [sequence, brief] = [h("span", { class: "seq" }), h("span", { class: "brief" })];
    const onclick = () => {
      this.#active = row;
      this.#select(row);
    };
    const properties = { type: "button", role: "option", id: `row-${events[0].sequence}`, tabIndex: -1, onclick };
    const all = { ...properties, class: `row kind-${kind}`, title: `${type} at ${time}` };
    return { element: h("button", all, sequence, h("span", { class: "type" }, type), brief), sequence, brief, count: 0 };
  }

  #fill(row, parts, index) {
    const { events } = row;
    const { element } = parts;
    const last = events.at(-1).sequence;
    if (parts.count !== events.length) {
      parts.count = events.length;
      set(parts.sequence, "textContent", events.length > 1 ? `${events[0].sequence}–${last}` : String(last));
      set(parts.brief, "textContent", briefOf(row));
    }
    const top = `${index * ROW}px`;
    if (element.style.top !== top) element.style.top = top;
    element.classList.toggle("selected", row === this.#selected);
    element.classList.toggle("active", row === this.#active);
    set(element, "ariaSelected", String(row === this.#selected));
  }

  /** The arrow keys go from row to row, Enter shows the event. */
  #onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.#move(step);
    else if (event.key === "Enter" && this.#active) this.#select(this.#active);
    else return;
    event.preventDefault();
  }

  #move(step) {
    const last = this.#shown.length - 1;
    const from = this.#shown.indexOf(this.#active);
    const index = from >= 0 ? Math.min(last, Math.max(0, from + step)) : Math.min(last, Math.ceil(this.#list.scrollTop / ROW));
    if (index < 0) return;
    this.#active = this.#shown[index];
    this.#isAtEnd = index === last;
    const { scrollTop, clientHeight } = this.#list;
    this.#list.scrollTop = Math.min(index * ROW, Math.max(scrollTop, (index + 1) * ROW - clientHeight));
    this.#draw();
  }

  #select(row) {
    this.#selected = row === this.#selected ? null : row;
    const detail = byId("detail");
    detail.hidden = !this.#selected;
    if (row) detail.textContent = pretty(row.events.length > 1 ? row.events.slice(0, 50) : row.events[0]);
    this.#draw();
  }
}
