/** Follows one session: folds its events, and keeps the connection while somebody looks at the page. */

import { Conversation } from "../client/index.js";

const HIDDEN_MS = 20_000; // a browser allows six connections to one server: a tab that nobody sees gives its own back

/**
 * `onChange` is called after events, `onConnection` at each change of the connection, `onRefused` when the service
 * refuses the stream for good.
 */
export class Watcher {
  conversation = new Conversation();
  events = [];
  #cursor = "0";
  #abort = null;
  #hideTimer = 0;
  #isOver = false;

  constructor(session, { onChange, onConnection, onRefused }) {
    this.session = session;
    this.listener = { onChange, onConnection, onRefused };
    document.addEventListener("visibilitychange", this.#onVisibility);
    void this.#follow();
    if (document.hidden) this.#onVisibility(); // opened in the background
  }

  /** Ends the connection for good. */
  close() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#pause();
  }

  /** Connects now, in place of after the wait. */
  retryNow() {
    this.#pause();
    void this.#follow();
  }

  #onVisibility = () => {
    clearTimeout(this.#hideTimer);
    if (this.#isOver) return;
    if (document.hidden) {
      this.#hideTimer = setTimeout(() => {
        this.#pause();
        this.listener.onConnection({ state: "paused", sequence: this.conversation.head });
      }, HIDDEN_MS);
    } else if (!this.#abort) void this.#follow();
  };

  #pause() {
    clearTimeout(this.#hideTimer);
    this.#abort?.abort();
    this.#abort = null;
  }

  async #follow() {
    const abort = (this.#abort = new AbortController());
    const onConnection = (connection) => {
      if (abort.signal.aborted) return;
      this.#cursor = connection.cursor;
      this.#isOver = connection.state === "ended";
      this.listener.onConnection(connection);
    };
    const options = { after: this.#cursor, follow: true, signal: abort.signal, onConnection };
    try {
      for await (const { cursor, ...event } of this.session.events(options)) {
        this.#cursor = cursor; // unlike the sequence, it is refused after a restore
        this.conversation.apply(event);
        this.events.push(event);
        this.listener.onChange();
      }
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error.code === "cursor_gone") this.#startAgain(abort);
      else this.listener.onRefused(error);
    }
  }

  /** The sessions were restored from a copy: what was read may not exist any more. */
  #startAgain(abort) {
    abort.abort();
    this.conversation = new Conversation();
    this.events = [];
    this.#cursor = "0";
    void this.#follow();
  }
}
