/** A chat of the AI SDK without React: the same class, transport and folding that `useChat` uses. */

import { AbstractChat } from "ai";

import { currentParts, turnlogTransport } from "./build/ai-sdk.mjs";

class State {
  status = "ready";
  error = undefined;
  messages = [];
  pushMessage = (message) => (this.messages = [...this.messages, message]);
  popMessage = () => (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index, message) => (this.messages = this.messages.with(index, structuredClone(message)));
  snapshot = (thing) => structuredClone(thing);
}

class Chat extends AbstractChat {
  constructor(options) {
    super({ ...options, state: new State() });
  }
}

/** A chat about a session. `fields` are added to each message that is posted. */
export function openChat(url, sessionId, fields = {}, options = {}) {
  return new Chat({ id: sessionId, transport: turnlogTransport(url, fields), ...options });
}

/** The text that a page shows of a message. */
export const textOf = (message) =>
  currentParts(message).filter((part) => part.type === "text").map((part) => part.text).join("\n\n");

/** Waits until `condition` holds; fails after a minute. */
export async function until(condition) {
  for (const end = Date.now() + 60_000; !(await condition()); ) {
    if (Date.now() > end) throw new Error(`waited in vain for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
