/** The AI SDK's own chat reads our UI message streams: answers, tools, approvals, cancels, failures, and resuming. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Server } from "../browser/server.mjs";
import { currentParts } from "./build/ai-sdk.mjs";
import { openChat, textOf, until } from "./chat.mjs";

const CALL = 'call calculate {"expression": "6*7"}';
const DRAW = 'call draw_lots {"names": ["Ann", "Bo"], "count": 1}';

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

const newSession = async () => (await server.call("POST", "/sessions", {})).session_id;
const answerIn = async (session) => (await server.call("GET", `/sessions/${session}/messages`)).at(-1).answer;
const tools = (message) => message.parts.filter((part) => part.type === "dynamic-tool");

test("an answer is streamed, with the ids and the usage of its turn", async () => {
  const session = await newSession();
  const chat = openChat(server.url, session, { model: "think-20-0" });

  await chat.sendMessage({ text: "Hello" });

  assert.equal(chat.status, "ready");
  const [asked, answered] = chat.messages;
  assert.deepEqual([asked.role, answered.role], ["user", "assistant"]);
  assert.equal(textOf(answered), await answerIn(session));
  const kinds = currentParts(answered).map((part) => part.type);
  assert.deepEqual(kinds, ["step-start", "reasoning", "text"]);
  const { session_id, turn_id, status, usage } = answered.metadata;
  assert.deepEqual([session_id, turn_id, status], [session, answered.id, "completed"]);
  assert.ok(usage.total_tokens > 0);
});

test("a tool call is shown with its input and its output, each in its step", async () => {
  const called = [];
  const chat = openChat(server.url, await newSession(), {}, { onToolCall: ({ toolCall }) => called.push(toolCall) });

  await chat.sendMessage({ text: CALL });

  const [tool] = tools(chat.lastMessage);
  assert.deepEqual([tool.toolName, tool.state, tool.input], ["calculate", "output-available", { expression: "6*7" }]);
  assert.match(JSON.stringify(tool.output), /42/);
  assert.equal(chat.lastMessage.parts.filter((part) => part.type === "step-start").length, 2);
  assert.deepEqual(called, [], "the page was asked to run a tool of the server");
});

for (const decision of ["approve", "deny"]) {
  test(`the stream continues after a decision to ${decision}`, async () => {
    const session = await newSession();
    const chat = openChat(server.url, session, { agent: "raffle" });
    const sending = chat.sendMessage({ text: DRAW });
    await until(() => tools(chat.lastMessage ?? { parts: [] })[0]?.state === "approval-requested");

    const { approval } = tools(chat.lastMessage)[0];
    await server.call("POST", `/sessions/${session}/tool_calls/${approval.id}/approval`, { decision });
    await sending;

    const expected = decision === "approve" ? "output-available" : "output-denied";
    assert.equal(tools(chat.lastMessage)[0].state, expected);
    assert.equal(chat.status, "ready");
    assert.ok((await answerIn(session)).endsWith(textOf(chat.lastMessage).split("\n\n").at(-1)));
  });
}

test("a cancelled turn ends the message, and keeps its text", async () => {
  const session = await newSession();
  const ends = [];
  const chat = openChat(server.url, session, { model: "fake-2000-20" }, { onFinish: (end) => ends.push(end) });
  const sending = chat.sendMessage({ text: "Tell me a story" });
  await until(() => chat.lastMessage?.role === "assistant" && textOf(chat.lastMessage).length > 20);

  await server.call("POST", `/sessions/${session}/cancel`, {});
  await sending;

  assert.equal(chat.lastMessage.metadata.status, "cancelled");
  assert.equal(textOf(chat.lastMessage), await answerIn(session));
  assert.equal(ends.length, 1);
});

test("a turn that fails is an error with its reason", async () => {
  const chat = openChat(server.url, await newSession(), { model: "fail-401" });

  await chat.sendMessage({ text: "Hello" });

  assert.equal(chat.status, "error");
  assert.ok(chat.error.message.length > 10);
});

test("a refused message is an error with the problem", async () => {
  const chat = openChat(server.url, "missing");

  await chat.sendMessage({ text: "Hello" });

  assert.equal(chat.status, "error");
  assert.match(chat.error.message, /session_not_found/);
});

test("a page that comes back in mid-turn sees the whole answer once", async () => {
  const session = await newSession();
  void openChat(server.url, session, { model: "fake-100-20" }).sendMessage({ text: "Tell me a story" });
  const status = async () => (await server.call("GET", `/sessions/${session}`)).state;
  await until(async () => (await status()) === "running");

  const chat = openChat(server.url, session);
  await chat.resumeStream();

  assert.equal(chat.messages.length, 1);
  assert.equal(textOf(chat.lastMessage), await answerIn(session));
});

test("after a kill the chat resumes, and void text is told apart", async () => {
  const session = await newSession();
  const chat = openChat(server.url, session, { model: "fake-150-20" });
  const sending = chat.sendMessage({ text: "Tell me a story" });
  await until(() => chat.lastMessage?.role === "assistant" && textOf(chat.lastMessage).length > 50);

  await server.kill();
  await sending;
  assert.equal(chat.status, "error");
  await server.restart();
  await chat.resumeStream();

  assert.equal(chat.status, "ready");
  assert.equal(chat.messages.length, 2);
  assert.equal(textOf(chat.lastMessage), await answerIn(session));
  assert.ok(currentParts(chat.lastMessage).length < chat.lastMessage.parts.length, "no void part was received");
});

test("nothing is resumed when no turn is active", async () => {
  const session = await newSession();
  const chat = openChat(server.url, session);
  await chat.sendMessage({ text: "Hello" });
  const before = structuredClone(chat.messages);

  await chat.resumeStream();

  assert.deepEqual(chat.messages, before);
  assert.equal(chat.status, "ready");
});
