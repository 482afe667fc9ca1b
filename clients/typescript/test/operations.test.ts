import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { isKnown, Turnlog, type Conversation, type OutsideEvent } from "../src/index.js";
import { Server } from "./server.js";

let server: Server;
let client: Turnlog;

before(async () => {
  server = await Server.start({ MODEL: "fake-12-0" });
  client = new Turnlog({ baseUrl: server.url });
});
after(() => server.stop());

const DEPLOYED: OutsideEvent = { event_type: "deployment", outcome: "succeeded" };
const NOTE: OutsideEvent = { event_type: "note", text: "Ω" };

test("a session is changed, and a message is answered while its sender waits", async () => {
  const session = await client.createSession({ metadata: { team: "a" } });

  const sent = await session.send("Hello", { wait: 60, client_id: "mine" });
  const changed = await session.update({ session_name: "Ours", metadata: { team: "b" }, archived: true });

  assert.deepEqual([sent.status, sent.client_id], ["completed", "mine"]);
  assert.deepEqual([changed.session_name, changed.metadata, changed.archived], ["Ours", { team: "b" }, true]);
  assert.equal((await client.getMessage(sent.message_id)).answer, sent.answer);
  await assert.rejects(session.send("Hi"), { code: "session_archived" });
});

test("a fork has the same past and continues by itself", async () => {
  const session = await client.createSession();
  await session.send("First", { wait: 60 });
  await session.send("Second", { wait: 60 });
  const [end] = (await session.history({ types: ["run.complete"], limit: 1000 })).events;

  const whole = await session.fork({ session_name: "Copy", idempotencyKey: "fork-1" });
  const repeated = await session.fork({ session_name: "Copy", idempotencyKey: "fork-1" });
  const part = await session.fork({ at_sequence: end?.sequence ?? 0 });
  await part.send("Third", { wait: 60 });

  assert.equal(repeated.id, whole.id);
  assert.deepEqual((await whole.info()).forked_from, { session_id: session.id, sequence: (await session.info()).head });
  assert.deepEqual((await whole.messages()).map((each) => each.content), ["First", "Second"]);
  assert.deepEqual((await part.messages({ order: "desc" })).map((each) => each.content), ["Third", "First"]);
  assert.equal((await session.messages()).length, 2);
});

test("events of another producer are appended together, and once for each key", async () => {
  const session = await client.createSession();

  const receipt = await session.appendEvents([DEPLOYED, NOTE], { idempotencyKey: "deploy-7" });
  const repeated = await session.appendEvents([DEPLOYED, NOTE], { idempotencyKey: "deploy-7" });
  await assert.rejects(session.appendEvents([NOTE], { idempotencyKey: "deploy-7" }), { code: "idempotency_key_reused" });
  await assert.rejects(session.appendEvents([DEPLOYED, { event_type: "run.start" }]), { status: 422 });

  const { events } = await session.history({ types: ["deployment", "note"] });
  assert.deepEqual(repeated.sequences, receipt.sequences);
  assert.deepEqual(receipt.sequences, events.map((event) => event.sequence));
  assert.deepEqual(events.map((event) => [event.type, isKnown(event)]), [["deployment", false], ["note", false]]);
  assert.equal((events[1]?.data as { text: string }).text, "Ω");
});

test("the numbers of a producer repel repeats, gaps and older epochs", async () => {
  const session = await client.createSession();
  const append = (epoch: number, seq: number) => session.appendEvents([DEPLOYED], { producer: { id: "ci", epoch, seq } });

  const first = await append(1, 0);
  assert.deepEqual((await append(1, 0)).sequences, first.sequences);
  await assert.rejects(append(1, 2), { code: "producer_gap" });
  await append(2, 0);
  await assert.rejects(append(1, 1), { code: "producer_fenced" });
  const both = { producer: { id: "ci", epoch: 2, seq: 1 }, idempotencyKey: "both" };
  await assert.rejects(session.appendEvents([DEPLOYED], both), { status: 422 });

  assert.equal((await session.history({ types: ["deployment"] })).events.length, 2);
});

test("the session of a node is opened, or found again", async () => {
  const project = await client.createProject("Stories", { document: { nodes: { teller: { name: "Teller" } } } });

  const created = await client.openSession(project.id, { node_id: "teller", session_name: "Ours" });
  const found = await client.openSession(project.id, { node_id: "teller", session_name: "Another" });
  const ofProject = await client.openSession(project.id);
  await created.update({ archived: true });
  const next = await client.openSession(project.id, { node_id: "teller" });

  assert.equal(found.id, created.id);
  const info = await found.info();
  assert.deepEqual([info.session_name, info.node_id], ["Ours", "teller"]);
  assert.equal(new Set([created.id, ofProject.id, next.id]).size, 3);
  await assert.rejects(client.openSession("missing"), { code: "project_not_found" });
});

test("a project is changed by who knows its revision, and its deletion reports how far it is", async () => {
  const project = await client.createProject("Plans", { budget: { total_tokens: 900 }, idempotencyKey: "plans-1" });
  const same = await client.createProject("Plans", { budget: { total_tokens: 900 }, idempotencyKey: "plans-1" });
  const session = await client.openSession(project.id);

  const changed = await client.updateProject(project.id, { name: "Ours", budget: null, ifRevision: project.revision });
  const outdated = client.updateProject(project.id, { name: "Mine", ifRevision: project.revision });
  await assert.rejects(outdated, { status: 412, code: "precondition_failed" });

  assert.equal(same.id, project.id);
  assert.deepEqual([changed.name, changed.budget], ["Ours", null]);
  assert.equal((await client.getProject(project.id)).name, "Ours");
  assert.ok((await client.listProjects({ limit: 200 })).projects.some((each) => each.id === project.id));
  assert.equal(await client.deleteProject(project.id), undefined);
  const deletion = await client.getDeletion(project.id);
  assert.deepEqual([deletion.status, deletion.deleted], ["deleted", 1]);
  await assert.rejects(session.info(), { status: 404 });
});

test("usage is read for a session and for all of a project", async () => {
  const { id } = await client.createProject("Counted");
  const options = { project_id: id, agent_name: "assistant" };
  const session = await client.createSession({ ...options, budget: { total_tokens: 100_000 } });
  await (await client.createSession(options)).send("Hi", { wait: 60 });
  await session.send("Hello", { wait: 60 });

  const [ofSession, ofProject] = [await session.usage(), await client.getProjectUsage(id)];

  assert.ok(ofSession.usage.total_tokens > 0);
  assert.equal(ofSession.budget?.left_tokens, 100_000 - ofSession.usage.total_tokens);
  assert.deepEqual(ofSession.rows.map((row) => [row.agent, row.calls]), [["assistant", 1]]);
  assert.deepEqual([ofProject.sessions, ofProject.rows[0]?.calls], [2, 2]);
});

test("a response that is too large for an event is read whole", async () => {
  const names = Array.from({ length: 800 }, (_, index) => String(index).padStart(90, "0"));
  const session = await client.createSession({ agent_name: "raffle" });
  await session.send(`call draw_lots ${JSON.stringify({ names, count: names.length })}`);
  let last: Conversation | undefined;
  for await (const conversation of session.watch()) {
    last = conversation;
    const [action] = conversation.actions;
    if (action) assert.equal((await session.approve(action.callId)).decision, "approve");
  }

  const tool = last?.turns[0]?.steps[0]?.tools[0];
  assert.deepEqual(Object.keys(tool?.response as object), ["href"]);
  const whole = await session.toolCall(tool?.id ?? "");
  assert.deepEqual([...(whole.response as string[])].sort(), names);
  assert.deepEqual([whole.name, whole.status, whole.truncated], ["draw_lots", "completed", false]);
});

test("a tool that the client runs is answered with an error, which the model reads", async () => {
  const session = await client.createSession({ agent_name: "raffle" });
  await session.send('call ask_user {"question": "Who takes part?"}');
  let last: Conversation | undefined;
  for await (const conversation of session.watch()) {
    last = conversation;
    const [action] = conversation.actions;
    if (action) await session.submitError(action.callId, "nobody is there");
  }

  const tool = last?.turns[0]?.steps[0]?.tools[0];
  assert.equal(tool?.status, "failed");
  assert.match(JSON.stringify(tool?.response), /nobody is there/);
});

test("messages that wait are listed, and a cancel returns after the end of the turn", async () => {
  const session = await client.createSession();
  await session.send("Long", { model: "fake-5000-20" });
  const waiting = await session.send("Next");

  assert.deepEqual((await session.queue()).map((each) => each.message_id), [waiting.message_id]);
  assert.equal((await session.cancel({ wait: 60, queue: "clear" })).status, "cancelled");
  assert.deepEqual(await session.queue(), []);
});

test("sessions are found by their metadata", async () => {
  const session = await client.createSession({ metadata: { "ticket.id": "T-1000", team: "a" } });
  await client.createSession({ metadata: { "ticket.id": "T-1001", team: "a" } });

  const { sessions } = await client.listSessions({ metadata: { "ticket.id": "T-1000", team: "a" } });

  assert.deepEqual(sessions.map((each) => each.session_id), [session.id]);
});
