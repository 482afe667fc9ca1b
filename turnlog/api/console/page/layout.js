/** The frame of the page: the drawers, and the keys that work everywhere. */

import { byId } from "../view/dom.js";

/** Shows the log beside the conversation, or over it on a narrow screen. */
export function openLog(log, isOpen = true) {
  log.isOpen = isOpen;
  byId("log").hidden = !isOpen;
  byId("app").classList.toggle("with-log", isOpen);
  byId("toggle-log").setAttribute("aria-pressed", String(isOpen));
}

export function listenToPage({ onNew, onStop, onLog, log }) {
  const setLog = (isOpen) => {
    openLog(log, isOpen);
    if (isOpen) onLog();
  };
  byId("toggle-log").addEventListener("click", () => setLog(!log.isOpen));
  byId("close-log").addEventListener("click", () => setLog(false));
  byId("open-sidebar").addEventListener("click", () => setDrawer(true));
  for (const id of ["close-sidebar", "shade"]) byId(id).addEventListener("click", () => setDrawer(false));
  byId("sessions").addEventListener("click", ({ target }) => target instanceof Element && target.closest("a") && setDrawer(false));
  byId("new-session").addEventListener("click", () => {
    setDrawer(false);
    onNew();
  });
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the part behind # names the session
    byId("content").focus();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || isForField(event) || document.querySelector("dialog[open]")) return;
    if (byId("app").classList.contains("with-drawer")) setDrawer(false);
    else onStop();
  });
}

/** Whether the key clears a search, closes a list of choices or ends a composition of characters. */
function isForField({ defaultPrevented, isComposing, keyCode, target }) {
  return defaultPrevented || isComposing || keyCode === 229 || target.matches?.("input, select");
}

/** On a narrow screen the list of sessions is a drawer. */
function setDrawer(isOpen) {
  byId("app").classList.toggle("with-drawer", isOpen);
  byId("shade").hidden = !isOpen;
  if (isOpen) byId("close-sidebar").focus();
}
