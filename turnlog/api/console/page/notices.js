/** What went wrong, and what to do about it. */

import { byId, h } from "../view/dom.js";

const SHOWN_MS = 12_000;

/** Shows a text for some seconds. The same text is shown once. */
export function notify(text, detail = "") {
  const box = byId("notices");
  if ([...box.children].some((each) => each.getAttribute("data-text") === text)) return;
  const close = h("button", { class: "icon", type: "button", "aria-label": "Close" }, "✕");
  const notice = h("div", { class: "notice", "data-text": text }, h("div", {}, text, detail ? h("small", {}, detail) : ""), close);
  close.addEventListener("click", () => notice.remove());
  box.append(notice);
  setTimeout(() => notice.remove(), SHOWN_MS);
}

/** Shows an error of a request. 401 is not shown: the page asks for a token. */
export function notifyError(error) {
  if (error.name === "AbortError" || error.status === 401) return;
  if (error.name !== "TurnlogProblem")
    notify("The server can't be reached. Nothing is lost: start it again, then try again.", error.message);
  else notify(adviceOf(error), error.traceId ? `${error.code} · trace ${error.traceId}` : error.code);
}

function adviceOf({ code, status, message, retryable, errors }) {
  const fields = errors.map(({ pointer, detail }) => `${pointer}: ${detail}`).join("; ");
  const what = [message, fields].filter(Boolean).join(" ");
  if (code === "queue_full") return `${what} Wait until a message has run, or take one back.`;
  if (code === "session_not_found") return "This session does not exist, or it is not yours.";
  if (status === 403) return `${what} A token with other scopes may be allowed to.`;
  return retryable ? `${what} Try again in a moment.` : what;
}

/** Says `text` to screen readers, without showing it. */
export function announce(text) {
  byId("announcer").textContent = text;
}
