/** Waits between tries: longer each time, with jitter, and ended by an abort. */

export interface BackoffOptions {
  /** The longest wait after the first failure, in milliseconds. */
  readonly min?: number;
  /** The longest wait after any number of failures, in milliseconds. */
  readonly max?: number;
}

/** Counts failures in a row, and says how long to wait after each. Readers that fail together return spread out. */
export class Backoff {
  readonly #min: number;
  readonly #max: number;
  #failures = 0;

  constructor(options: BackoffOptions = {}) {
    this.#min = options.min ?? 500;
    this.#max = options.max ?? 10_000;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Counts a failure; returns the milliseconds to wait: `atLeast` with some more, which differs for each reader. */
  next(atLeast = 0): number {
    const limit = Math.min(this.#max, this.#min * 2 ** this.#failures);
    this.#failures += 1;
    return Math.round((atLeast || limit / 2) + (Math.random() * limit) / 2);
  }

  reset(): void {
    this.#failures = 0;
  }
}

/** Resolves after `milliseconds`; rejects with the signal's reason at an abort. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
