import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { Turnlog, TurnlogProblem, type Connection, type TurnlogEvent } from "../src/index.js";
import { Server } from "./server.js";

let server: Server;
let client: Turnlog;

before(async () => {
  server = await Server.start({ MODEL: "fake-12-0" });
  client = new Turnlog({ baseUrl: server.url });
});
after(() => server.stop());

async function collect(events: AsyncIterable<TurnlogEvent>): Promise<TurnlogEvent[]> {
  const all: TurnlogEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

test("sessions are created, listed, read and deleted", async () => {
  const session = await client.createSession({ session_name: "Mine" });

  const listed = await client.listSessions({ limit: 200 });
  assert.ok(listed.sessions.some((each) => each.session_id === session.id));
  assert.equal((await session.info()).session_name, "Mine");
  await session.delete();
  await assert.rejects(session.info(), { code: "session_not_found", status: 404, retryable: false });
});

test("a turn is folded to its end, and the stream then ends by itself", async () => {
  const session = await client.createSession();
  const sent = await session.send('call calculate {"expression": "6*7"}');

  let last;
  for await (const conversation of session.watch()) last = conversation;

  const turn = last?.turns[0];
  const tool = turn?.steps[0]?.tools[0];
  assert.equal(turn?.id, sent.turn_id);
  assert.deepEqual([turn?.status, tool?.name, tool?.status, tool?.response], ["completed", "calculate", "completed", 42]);
  assert.ok(turn?.answer.startsWith("Scripted model here"));
  assert.equal(last?.usage.length, 2);
  assert.equal(turn?.answer, (await session.messages())[0]?.answer);
});

test("a stream at the end of a finished session ends at once, without an event", async () => {
  const session = await client.createSession();
  await session.send("Hello");
  const all = await collect(session.events());

  const states: string[] = [];
  const onConnection = (connection: Connection): void => void states.push(connection.state);
  assert.deepEqual(await collect(session.events({ after: all.length, onConnection })), []);
  assert.deepEqual(states, ["connecting", "ended"]);
});

test("an approval is asked for and given, and another is denied", async () => {
  const session = await client.createSession({ agent_name: "raffle" });
  await session.send('call draw_lots {"names": ["Ann", "Bo"], "count": 1}');
  for await (const conversation of session.watch()) {
    const [action] = conversation.actions;
    if (action) await session.approve(action.callId);
  }
  await session.send('call draw_lots {"names": ["Cy", "Di"], "count": 1}');
  let last;
  for await (const conversation of session.watch()) {
    last = conversation;
    const [action] = conversation.actions;
    if (action) await session.deny(action.callId, "not today");
    if (action) await session.deny(action.callId, "not today"); // a double click
  }

  assert.deepEqual(last?.turns.map((turn) => turn.steps[0]?.tools[0]?.status), ["completed", "denied"]);
});

test("a turn is cancelled, waiting messages are withdrawn, and the written text stays", async () => {
  const session = await client.createSession();
  await session.send("Long", { model: "fake-5000-20" });
  const waiting = await session.send("Next");
  let last;
  for await (const conversation of session.watch()) {
    last = conversation;
    const written = conversation.activeTurn?.answer ?? "";
    if (written && conversation.queue.length > 0) {
      await session.withdraw(waiting.message_id).catch((error: unknown) => assert.ok(error instanceof TurnlogProblem));
      await session.cancel();
    }
  }

  assert.equal(last?.turns.length, 1);
  assert.equal(last?.turns[0]?.status, "cancelled");
  assert.ok(last?.turns[0]?.steps[0]?.isPartial);
  assert.ok(last?.turns[0]?.answer.startsWith("Scripted"));
});

test("an abort ends the stream without an error, and a refusal is a typed problem", async () => {
  const session = await client.createSession();
  const controller = new AbortController();
  for await (const event of session.events({ signal: controller.signal })) {
    assert.equal(event.type, "session.created");
    controller.abort();
  }

  await assert.rejects(collect(client.session("missing").events()), { name: "TurnlogProblem", code: "session_not_found" });
  const wrong = { session_id: "no spaces, please" };
  await assert.rejects(client.createSession(wrong), (error: unknown) => {
    assert.ok(error instanceof TurnlogProblem);
    assert.deepEqual([error.status, error.errors[0]?.pointer], [422, "/session_id"]);
    return true;
  });
});

test("kill -9 in the middle of a turn: the stream resumes, and no event is lost or repeated", async () => {
  const own = await Server.start();
  try {
    const session = await new Turnlog({ baseUrl: own.url }).createSession();
    await session.send("Tell me a story", { model: "fake-200-30" });
    const states: string[] = [];
    const seen: TurnlogEvent[] = [];
    let restarted: Promise<void> | undefined;
    const onConnection = (connection: Connection): void => void states.push(connection.state);
    for await (const event of session.events({ onConnection, backoff: { min: 50, max: 200 } })) {
      seen.push(event);
      if (event.type === "message.delta" && !restarted) {
        await own.kill();
        restarted = own.restart();
      }
    }

    await restarted;
    assert.deepEqual(seen.map((event) => event.sequence), seen.map((_, index) => index + 1));
    assert.equal(seen.filter((event) => event.type === "run.complete").length, 1);
    assert.ok(seen.some((event) => event.type === "message.start" && (event.data as { attempt: number }).attempt === 2));
    assert.ok(states.includes("waiting"));
    assert.equal(states.at(-1), "ended");
  } finally {
    await own.stop();
  }
});

test("the example of the README runs as it is printed", async () => {
  const readme = await readFile(join(import.meta.dirname, "../../README.md"), "utf8");
  const [, example = ""] = /```js\n([\s\S]*?)```/.exec(readme) ?? [];
  assert.ok(example.trim().split("\n").length <= 15);
  const file = join(import.meta.dirname, "../example.mjs");
  const code = example.replace("turnlog-client", "./src/index.js").replace("http://127.0.0.1:7071", server.url);
  await writeFile(file, code);

  const { stdout } = await promisify(execFile)(process.execPath, [file], { timeout: 30_000 });

  assert.match(stdout, /approved draw_lots[\s\S]*draw_lots returned/);
});
