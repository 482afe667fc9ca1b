/** Waits between tries: longer each time, with jitter, and ended by an abort. */
/** Counts failures in a row, and says how long to wait after each. Readers that fail together return spread out. */
export class Backoff {
    #min;
    #max;
    #failures = 0;
    constructor(options = {}) {
        this.#min = options.min ?? 500;
        this.#max = options.max ?? 10_000;
    }
    get failures() {
        return this.#failures;
    }
    /** Counts a failure; returns the milliseconds to wait: `atLeast` with some more, which differs for each reader. */
    next(atLeast = 0) {
        const limit = Math.min(this.#max, this.#min * 2 ** this.#failures);
        this.#failures += 1;
        return Math.round((atLeast || limit / 2) + (Math.random() * limit) / 2);
    }
    reset() {
        this.#failures = 0;
    }
}
/** Resolves after `milliseconds`; rejects with the signal's reason at an abort. */
export function sleep(milliseconds, signal) {
    return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const onAbort = () => {
            clearTimeout(timer);
            reject(signal?.reason);
        };
        const timer = setTimeout(() => {
            signal?.removeEventListener("abort", onAbort);
            resolve();
        }, milliseconds);
        signal?.addEventListener("abort", onAbort, { once: true });
    });
}
