/** The client of this page, and the token of its user where callers sign in. */

import { Turnlog } from "../client/index.js";
import { byId } from "../view/dom.js";

const KEY = "turnlog.token";

const token = () => sessionStorage.getItem(KEY);

/** A client of the server that sent this page, with the token if there is one. */
export function newClient() {
  const access = token() ? { token: async () => token() ?? "" } : {};
  return new Turnlog({ baseUrl: location.origin, maxTries: 2, ...access });
}

export const isSignedIn = () => token() !== null;

export function signOut() {
  sessionStorage.removeItem(KEY);
}

/** Asks for a token. Returns whether there is a new one. */
export async function askForToken() {
  const dialog = byId("sign-in");
  const field = byId("token");
  byId("sign-in-reason").textContent = isSignedIn()
    ? "The service refused the token (401): it may have expired. Paste another one."
    : "This service knows its callers (401). Paste a bearer token of its issuer.";
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const value = field.value.trim().replace(/^bearer\s+/i, "");
  field.value = "";
  if (dialog.returnValue !== "ok" || !value) return false;
  sessionStorage.setItem(KEY, value);
  return true;
}
