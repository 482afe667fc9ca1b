/** Shows the state of the stream: live, away with the seconds until the next try, resumed. */

import { byId, h, set } from "../view/dom.js";
import { announce } from "./notices.js";

const RESUMED_MS = 6000;

/** Shows each connection that `show` gets. `onRetry` is called when somebody does not want to wait. */
export class ConnectionView {
  #element = byId("connection");
  #timer = 0;
  #wasAway = false;

  constructor(onRetry) {
    this.onRetry = onRetry;
  }

  hide() {
    this.#wasAway = false;
    this.#element.title = "";
    this.#draw("", "");
  }

  show(connection) {
    switch (connection.state) {
      case "connecting":
        if (!this.#wasAway) this.#draw("waiting", "Connecting …");
        break;
      case "live":
        this.#showLive(connection);
        break;
      case "waiting":
        if (connection.error) this.#showAway(connection); // else a planned end, which nobody needs to see
        break;
      case "paused":
        this.#draw("waiting", "Paused");
        break;
      case "ended":
        this.#draw("ended", connection.reason === "deleted" ? "Deleted" : "Finished");
        break;
    }
  }

  #showLive({ sequence }) {
    if (!this.#wasAway) {
      this.#draw("live", "Live");
      return;
    }
    this.#wasAway = false;
    this.#element.title = `Resumed at #${sequence}`;
    this.#draw("live resumed", `Resumed at #${sequence}`);
    announce("Connected again. Nothing was lost.");
    this.#timer = setTimeout(() => this.#draw("live", "Live"), RESUMED_MS);
  }

  #showAway({ milliseconds }) {
    if (!this.#wasAway) announce("The server is away. The page connects again by itself.");
    this.#wasAway = true;
    const until = performance.now() + milliseconds;
    const text = h("span", {});
    const tick = () => {
      const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
      set(text, "textContent", seconds > 0 ? `Server away · next try in ${seconds} s` : "Server away · trying");
    };
    tick();
    const now = h("button", { type: "button", class: "link", onclick: () => this.onRetry() }, "Now");
    this.#draw("away", text, " ", now);
    this.#timer = setInterval(tick, 250);
  }

  #draw(kind, ...content) {
    clearTimeout(this.#timer); // also ends an interval
    this.#element.className = `connection ${kind}`;
    this.#element.replaceChildren(...content);
  }
}
