/** AG-UI's own client runs agents here: answers, tools, interrupts, cancels, failures, and resuming after a kill. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { buildResumeArray } from "@ag-ui/client";

import { Server } from "../browser/server.mjs";
import { TurnlogAgent } from "./build/ag-ui.mjs";
import { until } from "./chat.mjs";

const CALL = 'call calculate {"expression": "6*7"}';
const DRAW = 'call draw_lots {"names": ["Ann", "Bo"], "count": 1}';
const ASK = 'call ask_user {"question": "Who takes part?"}';

let server;
before(async () => (server = await Server.start({ MODEL: "fake-20-5" })));
after(() => server.stop());

/** An agent that is asked `content`. `seen` are the events that it gets. */
function ask(content, { model, agentName, threadId = crypto.randomUUID() } = {}) {
  const agent = new TurnlogAgent({ url: server.url, agentName, threadId });
  agent.seen = [];
  agent.subscribe({ onEvent: ({ event }) => void agent.seen.push(event) });
  agent.addMessage({ id: crypto.randomUUID(), role: "user", content });
  agent.parameters = { runId: crypto.randomUUID(), forwardedProps: { model } };
  return agent;
}

const last = (agent) => agent.seen.at(-1);
const types = (agent) => agent.seen.map((event) => event.type);
const roles = (agent) => agent.messages.map((message) => message.role);
const textOf = (agent) => agent.messages.filter((message) => message.role === "assistant").map((message) => message.content ?? "").at(-1);
const storedIn = (agent) => server.call("GET", `/sessions/${agent.threadId}/messages`);
const answerIn = async (agent) => (await storedIn(agent)).at(-1).answer;

test("a run creates the session, and its answer is streamed with reasoning and usage", async () => {
  const agent = ask("Hello", { model: "think-20-5" });

  await agent.runAgent(agent.parameters);

  assert.deepEqual(roles(agent), ["user", "reasoning", "assistant"]);
  const [message] = await storedIn(agent);
  assert.equal(textOf(agent), message.answer);
  assert.equal(agent.messages[1].content, message.reasoning);
  assert.equal(message.client_id, agent.messages[0].id);
  assert.ok(types(agent).filter((type) => type === "TEXT_MESSAGE_CONTENT").length > 1, "the text came at once");
  assert.deepEqual(last(agent).outcome, { type: "success" });
  assert.equal(last(agent).usage[0].totalTokens, message.usage.total_tokens);
  assert.equal(agent.seen[0].metadata.turnlog.turn_id, message.turn_id);
});

test("the next run continues the conversation", async () => {
  const agent = ask("Hello");
  await agent.runAgent(agent.parameters);
  agent.addMessage({ id: "second", role: "user", content: "And now?" });

  await agent.runAgent();

  const stored = await storedIn(agent);
  assert.deepEqual(stored.map((message) => message.content), ["Hello", "And now?"]);
  assert.equal(textOf(agent), stored[1].answer);
});

test("a tool call is streamed while it is written, and has its result", async () => {
  const agent = ask(CALL);

  await agent.runAgent(agent.parameters);

  assert.deepEqual(roles(agent), ["user", "assistant", "tool", "assistant"]);
  const [call] = agent.messages[1].toolCalls;
  assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ["calculate", { expression: "6*7" }]);
  assert.deepEqual([agent.messages[2].toolCallId, agent.messages[2].content], [call.id, "42"]);
  assert.equal(textOf(agent), await answerIn(agent));
  assert.ok(!types(agent).includes("MESSAGES_SNAPSHOT"));
  assert.equal(types(agent).filter((type) => type === "STEP_FINISHED").length, 2);
});

for (const approved of [true, false]) {
  test(`an interrupt is resolved with approved: ${approved}, and the turn continues`, async () => {
    const agent = ask(DRAW, { agentName: "raffle" });
    await agent.runAgent(agent.parameters);
    const [interrupt] = agent.pendingInterrupts;
    assert.equal(interrupt.toolCallId, agent.messages[1].toolCalls[0].id);

    const payload = { approved, reason: "because" };
    await agent.runAgent({ resume: buildResumeArray([interrupt], { [interrupt.id]: { status: "resolved", payload } }) });

    assert.deepEqual(agent.pendingInterrupts, []);
    assert.deepEqual(roles(agent), ["user", "assistant", "tool", "assistant"]);
    assert.equal(agent.messages[2].metadata.turnlog.status, approved ? "completed" : "denied");
    assert.equal(agent.messages[2].content.includes("because"), !approved);
    assert.equal(textOf(agent), await answerIn(agent));
    assert.equal((await storedIn(agent)).length, 1);
  });
}

test("an interrupt that is cancelled denies the call", async () => {
  const agent = ask(DRAW, { agentName: "raffle" });
  await agent.runAgent(agent.parameters);
  const [interrupt] = agent.pendingInterrupts;

  await agent.runAgent({ resume: buildResumeArray([interrupt], { [interrupt.id]: { status: "cancelled" } }) });

  assert.equal(agent.messages[2].metadata.turnlog.status, "denied");
  assert.equal(last(agent).type, "RUN_FINISHED");
});

test("a tool that the page runs is left pending, and its result continues the turn", async () => {
  const agent = ask(ASK, { agentName: "raffle" });
  let pending;
  await agent.runAgent(agent.parameters, { onRunFinishedEvent: (end) => void (pending = end.pendingToolCallIds) });
  assert.deepEqual(pending, [agent.messages[1].toolCalls[0].id]);

  agent.addMessage({ id: "result", role: "tool", toolCallId: pending[0], content: "Ann and Bo" });
  await agent.runAgent();

  assert.deepEqual(roles(agent), ["user", "assistant", "tool", "assistant"]);
  assert.match(textOf(agent), /Ann and Bo/);
  assert.equal(textOf(agent), await answerIn(agent));
});

test("an approval and a tool of the page in one step are both answered before the turn continues", async () => {
  const agent = ask(`${DRAW} and ${ASK}`, { agentName: "raffle" });
  await agent.runAgent(agent.parameters);
  const [draw, question] = agent.messages[1].toolCalls;
  assert.deepEqual(agent.pendingInterrupts.map((each) => each.id), [draw.id]);

  const answers = { [draw.id]: { status: "resolved", payload: { approved: true } } };
  await agent.runAgent({ resume: buildResumeArray(agent.pendingInterrupts, answers) });
  assert.deepEqual(last(agent).outcome, { type: "success", pendingToolCallIds: [question.id] });
  agent.addMessage({ id: "result", role: "tool", toolCallId: question.id, content: "Ann" });
  await agent.runAgent();

  assert.equal(textOf(agent), await answerIn(agent));
  assert.equal(roles(agent).filter((role) => role === "tool").length, 2);
});

test("a cancelled turn keeps its text, and the run says so", async () => {
  const agent = ask("Tell me a story", { model: "fake-2000-20" });
  const running = agent.runAgent(agent.parameters);
  await until(() => (textOf(agent) ?? "").length > 20);

  await agent.cancel();
  await running;

  assert.deepEqual(last(agent).outcome, { type: "cancelled" });
  assert.equal(textOf(agent), await answerIn(agent));
});

test("a turn that fails is a RUN_ERROR with its reason", async () => {
  const agent = ask("Hello", { model: "fail-401" });

  await agent.runAgent(agent.parameters);

  const [message] = await storedIn(agent);
  assert.deepEqual([last(agent).type, last(agent).message, last(agent).code], ["RUN_ERROR", message.error.message, message.error.code]);
});

test("a run that is refused has created no session", async () => {
  const agent = ask("Hello", { agentName: "nobody" });

  await assert.rejects(agent.runToEnd(agent.parameters), /422.*agent_not_found/);

  await assert.rejects(server.call("GET", `/sessions/${agent.threadId}`), /404/);
});

test("the same run again is the same turn, and the messages stay as they are", async () => {
  const agent = ask(CALL, { model: "think-20-0" });
  await agent.runAgent(agent.parameters);
  const before = structuredClone(agent.messages);

  await agent.runAgent(agent.parameters);

  assert.deepEqual(agent.messages, before);
  assert.equal((await storedIn(agent)).length, 1);
});

test("after a kill the run is read again, and every word is there once", async () => {
  const agent = ask(CALL, { model: "think-150-20" });
  const running = agent.runToEnd(agent.parameters);
  await until(() => roles(agent).includes("tool") && (textOf(agent) ?? "").length > 50);

  await server.kill();
  await server.restart();
  await running;

  const [message] = await storedIn(agent);
  assert.equal(textOf(agent), message.answer);
  assert.deepEqual(roles(agent).toSorted(), ["assistant", "assistant", "reasoning", "reasoning", "tool", "user"]);
  assert.equal(agent.messages.filter((each) => each.role === "reasoning").map((each) => each.content).join("\n\n"), message.reasoning);
});

test("an attempt that becomes void while the page reads is replaced", async () => {
  const agent = ask("Tell me a story", { model: "cut-5" });

  await agent.runAgent(agent.parameters);

  const replacements = types(agent).filter((type) => type === "MESSAGES_SNAPSHOT").length;
  assert.ok(replacements, "no attempt became void");
  const newest = agent.seen.slice(types(agent).lastIndexOf("MESSAGES_SNAPSHOT"));
  const written = newest.filter((event) => event.type === "TEXT_MESSAGE_CONTENT").map((event) => event.delta);
  assert.deepEqual(roles(agent), ["user", "assistant"]);
  assert.equal(textOf(agent), written.join(""));
  assert.equal(textOf(agent).match(/Scripted/g).length, 1);
});

test("a run that is aborted by the page is not read again, and the turn goes on", async () => {
  const agent = ask("Tell me a story", { model: "fake-60-20" });
  const running = agent.runToEnd(agent.parameters);
  await until(() => (textOf(agent) ?? "").length > 20);

  agent.abortRun();
  await running;

  assert.equal(types(agent).filter((type) => type === "RUN_STARTED").length, 1);
  await until(async () => (await storedIn(agent))[0].status === "completed");
});

test("a run is read on after each planned end of a stream", async () => {
  const short = await Server.start({ STREAM_MAX_SECONDS: "1" });
  try {
    const agent = new TurnlogAgent({ url: short.url, threadId: "long" });
    let starts = 0;
    agent.addMessage({ id: "m1", role: "user", content: "Tell me a story" });

    await agent.runToEnd({ forwardedProps: { model: "think-40-20" } }, { onRunStartedEvent: () => void (starts += 1) });

    const [message] = await short.call("GET", "/sessions/long/messages");
    assert.ok(starts > 1, "no stream came to its planned end");
    assert.equal(message.status, "completed");
    assert.deepEqual(agent.messages.map((each) => each.content), ["Tell me a story", message.reasoning, message.answer]);
  } finally {
    await short.stop();
  }
});

test("a page that comes back in mid-turn gets the conversation and the rest of the turn", async () => {
  const first = ask(CALL);
  await first.runAgent(first.parameters);
  first.addMessage({ id: "second", role: "user", content: "Tell me a story" });
  const running = first.runAgent({ forwardedProps: { model: "fake-100-20" } });
  await until(() => (textOf(first) ?? "").length > 20 && first.messages.at(-1).id !== "second");

  const agent = new TurnlogAgent({ url: server.url, threadId: first.threadId });
  await agent.connectAgent();
  await running;

  const shown = ({ role, content, toolCalls }) => ({ role, content: content ?? "", toolCalls });
  assert.deepEqual(agent.messages.map(shown), first.messages.map(shown));
  assert.deepEqual(agent.messages.map((message) => message.id), first.messages.map((message) => message.id));
  const later = new TurnlogAgent({ url: server.url, threadId: first.threadId });
  await later.connectAgent();
  assert.deepEqual(later.messages.map(shown), agent.messages.map(shown));
});
