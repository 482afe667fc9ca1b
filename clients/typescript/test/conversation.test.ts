import assert from "node:assert/strict";
import { test } from "node:test";

import { Conversation, type EventDataByType, type EventType, type TurnlogEvent } from "../src/index.js";

type Sent = { [Type in EventType]: [Type, Partial<EventDataByType[Type]>, string?] }[EventType];

function fold(...sent: Sent[]): Conversation {
  const conversation = new Conversation();
  sent.forEach(([type, data, turn = "t1"], index) => conversation.apply(event(index + 1, type, data, turn)));
  return conversation;
}

function event(sequence: number, type: string, data: object, turn: string): TurnlogEvent {
  const ids = { session_id: "s", turn_id: turn, message_id: `m-${turn}`, trace_id: null };
  return { sequence, type, timestamp: "2026-01-01T00:00:00Z", ...ids, data: { ...data } };
}

const BEGIN: Sent[] = [
  ["user_message", { content: "Hi", text: "Hi" }],
  ["run.start", { agent: "assistant", model: "m" }],
];

test("deltas of text and reasoning are joined in their step", () => {
  const [turn] = fold(
    ...BEGIN,
    ["message.start", { step: 1, attempt: 1 }],
    ["reasoning.delta", { step: 1, attempt: 1, text: "Let me " }],
    ["reasoning.delta", { step: 1, attempt: 1, text: "think." }],
    ["message.delta", { step: 1, attempt: 1, text: "Hello " }],
    ["message.delta", { step: 1, attempt: 1, text: "there" }],
  ).turns;

  assert.equal(turn?.answer, "Hello there");
  assert.equal(turn?.steps[0]?.reasoning, "Let me think.");
  assert.deepEqual(turn?.parts.map((part) => part.kind), ["user", "step"]);
});

test("a step that starts again has only what its last attempt wrote", () => {
  const [turn] = fold(
    ...BEGIN,
    ["message.start", { step: 1, attempt: 1 }],
    ["reasoning.delta", { step: 1, attempt: 1, text: "void" }],
    ["message.delta", { step: 1, attempt: 1, text: "void" }],
    ["tool_call.delta", { step: 1, attempt: 1, id: "c1", name: "add", arguments: '{"a' }],
    ["message.start", { step: 1, attempt: 2 }],
    ["message.delta", { step: 1, attempt: 2, text: "valid" }],
  ).turns;

  const [step] = turn?.steps ?? [];
  assert.deepEqual([step?.attempt, step?.text, step?.reasoning, step?.tools], [2, "valid", "", []]);
});

test("a tool call is written, waits for its approval, runs and is answered", () => {
  const sent: Sent[] = [
    ...BEGIN,
    ["message.start", { step: 1, attempt: 1 }],
    ["tool_call.delta", { step: 1, attempt: 1, id: "c1", name: "draw", arguments: '{"n"' }],
    ["tool_call.delta", { step: 1, attempt: 1, id: "c1", name: "draw", arguments: ": 1}" }],
    ["tool_call.action_required", { id: "c1", kind: "approval", name: "draw", arguments: '{"n": 1}', expires_at: "x" }],
    ["tool_call.action", { id: "c1", decision: "approve", by: "me", reason: null }],
    ["tool_call.start", { step: 1, attempt: 1, id: "c1", name: "draw", arguments: '{"n": 1}' }],
    ["tool_call.complete", { id: "c1", step: 1, name: "draw", arguments: '{"n": 1}', status: "completed", response: ["Ann"], duration_ms: 7 }],
  ];
  const seen = sent.map((_, index) => {
    const conversation = fold(...sent.slice(0, index + 1));
    const tool = conversation.turns[0]?.steps[0]?.tools[0];
    return [tool?.status, tool?.arguments, conversation.state, conversation.actions.length];
  });

  assert.deepEqual(seen.slice(3), [
    ["writing", '{"n"', "running", 0],
    ["writing", '{"n": 1}', "running", 0],
    ["waiting", '{"n": 1}', "requires_action", 1],
    ["running", '{"n": 1}', "running", 0],
    ["running", '{"n": 1}', "running", 0],
    ["completed", '{"n": 1}', "running", 0],
  ]);
  assert.deepEqual(fold(...sent).turns[0]?.steps[0]?.tools[0]?.response, ["Ann"]);
});

test("messages wait in the order in which they will run, until their turn begins or they are withdrawn", () => {
  const queued = (name: string, on_busy: "enqueue" | "interrupt" | "steer"): Sent => [
    "message.queued",
    { content: name, text: name, on_busy },
    name,
  ];
  const conversation = fold(...BEGIN, queued("a", "enqueue"), queued("b", "enqueue"), queued("c", "steer"), queued("d", "interrupt"));
  assert.deepEqual(conversation.queue.map((each) => each.text), ["d", "c", "a", "b"]);

  conversation.apply(event(7, "message.withdrawn", {}, "c"));
  conversation.apply(event(8, "user_message", { content: "d", text: "d" }, "d"));
  assert.deepEqual(conversation.queue.map((each) => each.text), ["a", "b"]);
  assert.deepEqual(conversation.turns.map((turn) => turn.id), ["t1", "d"]);
});

test("a steered message that no step read moves to its own turn", () => {
  const conversation = fold(...BEGIN);
  conversation.apply({ ...event(3, "user_message", { content: "Also", text: "Also" }, "t1"), message_id: "m2" });
  conversation.apply(event(4, "run.complete", { status: "completed", usage: null, error: null }, "t1"));
  conversation.apply({ ...event(5, "user_message", { content: "Also", text: "Also" }, "t2"), message_id: "m2" });

  assert.deepEqual(conversation.turns.map((turn) => turn.parts.length), [1, 1]);
});

test("a change of the project is kept with its turn", () => {
  const patch = [{ op: "add", path: "/nodes/a", value: {} }];
  const conversation = fold(
    ["session.created", { thread_id: "t", session_name: null, agent_name: null, project_id: "p1" }],
    ...BEGIN,
    ["vibecode_response", { patch, project_revision: 2 }],
  );

  const turn = conversation.turns.at(-1);
  assert.deepEqual([conversation.projectId, turn?.patch, turn?.projectRevision], ["p1", patch, 2]);
});

test("the state follows the turn: running, stalled, cancelling, idle", () => {
  const conversation = fold(...BEGIN);
  const states = [conversation.state];
  for (const [sequence, type, data] of [
    [3, "status", { status: "stalled" }],
    [4, "message.start", { step: 1, attempt: 2 }],
    [5, "status", { status: "cancelling" }],
    [6, "message.complete", { step: 1, attempt: 2, text: "par", partial: true, reasoning: null, finish_reason: null }],
    [7, "run.complete", { status: "cancelled", usage: null, error: null, duration_ms: 1, model: "m" }],
  ] as const) {
    conversation.apply(event(sequence, type, data, "t1"));
    states.push(conversation.state);
  }

  assert.deepEqual(states, ["running", "stalled", "running", "cancelling", "cancelling", "idle"]);
  assert.equal(conversation.turns[0]?.status, "cancelled");
});

test("events of other producers, unknown types and repeats change nothing", () => {
  const conversation = fold(...BEGIN, ["message.delta", { step: 1, attempt: 1, text: "mine" }]);
  conversation.apply(event(4, "message.delta", { origin: "outside", step: 1, attempt: 1, text: "theirs" }, "t1"));
  conversation.apply(event(5, "hasOwnProperty", {}, "t1"));
  conversation.apply(event(3, "message.delta", { step: 1, attempt: 1, text: "again" }, "t1"));

  assert.equal(conversation.turns[0]?.answer, "mine");
  assert.equal(conversation.head, 5);
});
