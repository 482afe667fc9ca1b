/** Keeps the end of the conversation in view, unless somebody reads further up. */

import { byId, set, trackEnd } from "../view/dom.js";

const NEAR = 80; // pixels from the end

export class Scroller {
  #element = byId("scroller");
  #button = byId("jump");
  #isAtEnd = true;

  constructor() {
    trackEnd(this.#element, NEAR, (isAtEnd) => {
      this.#isAtEnd = isAtEnd;
      if (isAtEnd) set(this.#button, "hidden", true);
    });
    // What is around it grows as well: the field, the messages that wait.
    new ResizeObserver(() => this.follow()).observe(this.#element);
    this.#button.addEventListener("click", () => {
      this.stick();
      this.follow();
    });
  }

  /** Follows the end from now on. */
  stick() {
    this.#isAtEnd = true;
  }

  /** Is called after each change of the content. */
  follow() {
    if (this.#isAtEnd) this.#element.scrollTop = this.#element.scrollHeight;
    set(this.#button, "hidden", this.#isAtEnd);
  }
}
