/** Idempotency keys of one message: what it is stored with, at the first try and at each later one. */

import { newIdempotencyKey } from "../client/index.js";

export class Keys {
  #keys = new Map();

  /** The key of a request: the same one for the same session, content and options. */
  of(...request) {
    const what = JSON.stringify(request);
    if (!this.#keys.has(what)) this.#keys.set(what, newIdempotencyKey());
    return this.#keys.get(what);
  }
}
