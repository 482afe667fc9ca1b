import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation, Turnlog, type TurnlogEvent } from "../src/index.js";

function event(sequence: number, type: string, turn: string | null, data: object): TurnlogEvent {
  const ids = { session_id: "s", turn_id: turn, message_id: `m-${sequence}`, trace_id: null };
  return { sequence, type, timestamp: "2026-01-01T00:00:00Z", ...ids, data: { ...data } };
}

test("a conversation knows the messages that were sent with a client_id: those that wait and those in turns", () => {
  const conversation = new Conversation();
  conversation.apply(event(1, "user_message", "t1", { content: "Hi", text: "Hi", client_id: "one" }));
  conversation.apply(event(2, "message.queued", "t2", { content: "Hi", text: "Hi", on_busy: "enqueue", client_id: "two" }));
  conversation.apply(event(3, "message.queued", "t3", { content: "Hi", text: "Hi", on_busy: "enqueue", client_id: null }));

  assert.deepEqual(["one", "two", "three", ""].map((id) => conversation.has(id)), [true, true, false, false]);
  assert.deepEqual(conversation.queue.map((each) => each.clientId), ["two", null]);
});

test("without Web Locks a shared stream is one of its own", async () => {
  const frame = 'id: 1-abc\ndata: {"sequence": 1, "type": "x", "data": {}}\n\nid: 1-abc\nevent: done\ndata: {"reason": "finished"}\n\n';
  const answer = (): Response => new Response(frame, { headers: { "content-type": "text/event-stream" } });
  const session = new Turnlog({ baseUrl: "http://service", fetch: async () => answer() }).session("s");

  const sequences: number[] = [];
  for await (const { sequence } of session.events({ share: true })) sequences.push(sequence);

  assert.deepEqual(sequences, [1]);
});

test("events of some types can't be shared", () => {
  const session = new Turnlog({ baseUrl: "http://service" }).session("s");

  assert.throws(() => session.events({ share: true, types: ["run.*"] }), TypeError);
});
