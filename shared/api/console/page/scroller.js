/** Keeps the end of the conversation in view, unless somebody reads further up. */

import { byId, set } from "../view/dom.js";

const NEAR = 80; // pixels from the end

export class Scroller {
  #element = byId("scroller");
  #button = byId("jump");
  #isAtEnd = true;

  constructor() {
    this.#element.addEventListener("scroll", () => {
      const { scrollTop, clientHeight, scrollHeight } = this.#element;
      this.#isAtEnd = scrollTop + clientHeight > scrollHeight - NEAR;
      if (this.#isAtEnd) set(this.#button, "hidden", true);
    }, { passive: true });
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
