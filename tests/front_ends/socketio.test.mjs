/** Socket.IO's own client in JavaScript, and a plain WebSocket, read our rooms. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { io } from "socket.io-client";
import WebSocket from "ws";

import { Server } from "../browser/server.mjs";

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

async function newProject() {
  const { id } = await server.call("POST", "/projects", { name: "Sockets" });
  const { session_id } = await server.call("POST", `/projects/${id}/sessions`, {});
  return { project_id: id, session_id };
}

/** Connects a client that records what it receives. */
async function connect(options) {
  const socket = io(server.url, { forceNew: true, ...options });
  const seen = [];
  socket.onAny((name, data) => seen.push([name, data]));
  await once(socket, "connect");
  return { socket, seen };
}

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  test(`the project's room gets usage and patches over ${transports.join(", then ")}`, async () => {
    const { project_id, session_id } = await newProject();
    const { socket, seen } = await connect({ transports });

    assert.deepEqual(await socket.emitWithAck("join", { project_id }), { room: `project_${project_id}` });
    const ended = once(socket, "run.complete");
    await server.call("POST", `/sessions/${session_id}/messages`, { prompt: "Create a triage agent" });
    await ended;
    socket.disconnect();

    const usages = seen.filter(([name]) => name === "token_usage").map(([, data]) => data);
    assert.ok(usages.length > 0);
    for (const usage of usages) assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
    const [[, response]] = seen.filter(([name]) => name === "vibecode_response");
    assert.ok(Array.isArray(response.patch));
    for (const [, data] of seen) assert.equal(data.session_id, session_id);
  });
}

test("a session's room is joined by its alias, and left", async () => {
  const { session_id } = await newProject();
  const { socket, seen } = await connect();

  assert.deepEqual(await socket.emitWithAck("subscribe", { session_id }), { room: `session_${session_id}` });
  const arrived = once(socket, "note");
  await server.call("POST", `/sessions/${session_id}/events`, { event_type: "note", text: "Hello" });
  const [note] = await arrived;
  assert.deepEqual([note.text, note.session_id], ["Hello", session_id]);
  assert.deepEqual(await socket.emitWithAck("leave", { session_id }), { room: `session_${session_id}` });
  assert.deepEqual(seen.map(([name]) => name), ["note"]);
  socket.disconnect();
});

test("a room that does not exist is refused with the code of the API", async () => {
  const { socket } = await connect();

  const { error } = await socket.emitWithAck("join", { project_id: "prj_missing" });

  assert.equal(error.code, "project_not_found");
  socket.disconnect();
});

test("a client that reconnects after a kill joins again and receives again", async () => {
  const { project_id, session_id } = await newProject();
  const { socket, seen } = await connect({ reconnectionDelay: 50, reconnectionDelayMax: 50 });
  socket.on("connect", () => socket.emit("join", { project_id }, () => socket.listeners("joined").forEach((done) => done())));
  const joined = new Promise((resolve) => socket.on("joined", resolve));

  await server.kill();
  await server.restart();
  await joined;
  const ended = once(socket, "run.complete");
  await server.call("POST", `/sessions/${session_id}/messages`, { prompt: "Create a triage agent" });
  await ended;

  assert.ok(seen.some(([name]) => name === "vibecode_response"));
  socket.disconnect();
});

test("the WebSocket sends new sessions, their events and their changes", async () => {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`);
  const frames = [];
  const finished = new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      frames.push(JSON.parse(data));
      if (frames.at(-1).session?.status === "finished") resolve();
    };
  });
  await new Promise((resolve) => (socket.onopen = resolve));

  const { session_id } = await server.call("POST", "/sessions", { session_name: "Watched" });
  await server.call("POST", `/sessions/${session_id}/events`, { event_type: "session_stop" });
  await finished;
  socket.close();

  assert.equal(frames[0].type, "init");
  const own = frames.slice(1).filter((frame) => frame.session_id === session_id);
  assert.deepEqual(own.map((frame) => frame.type), ["session_created", "event", "event", "session_updated"]);
  assert.equal(own[0].session.session_name, "Watched");
});
