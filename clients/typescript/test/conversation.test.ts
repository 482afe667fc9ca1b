import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Conversation, type TurnlogEvent } from "../src/index.js";
import { ROOT } from "./server.js";

interface Sent {
  readonly type: string;
  readonly data: object;
  readonly sequence?: number;
  readonly turn?: string | null;
  readonly message?: string | null;
}

interface Case {
  readonly name: string;
  readonly events: readonly Sent[];
  readonly expected: readonly { readonly events: number; readonly conversation: object }[];
}

// The Python client's tests read these cases as well: both clients fold the same way.
const CASES = JSON.parse(readFileSync(join(ROOT, "clients/cases/conversation.json"), "utf8")) as readonly Case[];

for (const { name, events, expected } of CASES) {
  test(name, () => {
    for (const each of expected) {
      const view = viewOf(fold(events.slice(0, each.events)));
      assert.deepEqual(named(view, each.conversation), each.conversation, `after ${each.events} events`);
    }
  });
}

test("what changed has a greater revision", () => {
  const conversation = new Conversation();
  const revisions = (CASES[1]?.events ?? []).map((sent, index) => {
    conversation.apply(eventOf(sent, index + 1));
    return conversation.revision;
  });

  assert.deepEqual(revisions, [1, 2, 3, 4, 5, 6, 7]);
});

function fold(events: readonly Sent[]): Conversation {
  const conversation = new Conversation();
  events.forEach((sent, index) => conversation.apply(eventOf(sent, index + 1)));
  return conversation;
}

function eventOf({ type, data, sequence, turn = "t1", message = `m-${turn}` }: Sent, number: number): TurnlogEvent {
  const ids = { session_id: "s", turn_id: turn, message_id: message, trace_id: null };
  return { sequence: sequence ?? number, type, timestamp: "2026-01-01T00:00:00Z", ...ids, data: { ...data } };
}

/** The conversation with its computed values, and with the names of the cases: `call_id` for `callId`. */
function viewOf(conversation: Conversation): unknown {
  const turns = conversation.turns.map((turn) => ({ ...turn, answer: turn.answer }));
  const { state, activeTurn } = conversation;
  return renamed({ ...conversation, turns, state, activeTurn: activeTurn?.id ?? null });
}

function renamed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(renamed);
  if (typeof value !== "object" || value === null) return value;
  const name = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [name(key), renamed(each)]));
}

/** Of `actual` what `expected` names; lists are whole. */
function named(actual: unknown, expected: unknown): unknown {
  if (Array.isArray(actual) && Array.isArray(expected))
    return actual.length === expected.length ? actual.map((each, index) => named(each, expected[index])) : actual;
  if (typeof actual !== "object" || actual === null || typeof expected !== "object" || expected === null) return actual;
  const of = actual as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.entries(expected).map(([key, each]) => [key, named(of[key], each)]));
}
