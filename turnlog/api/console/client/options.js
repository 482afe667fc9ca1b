/** What the calls of a client take. */
export {};
