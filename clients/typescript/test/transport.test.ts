import assert from "node:assert/strict";
import { test } from "node:test";

import { Turnlog, TurnlogProblem, type Connection } from "../src/index.js";

type Answer = (url: URL, headers: Headers) => Response;

/** A client whose requests are answered by `answers`, one after the other. */
function clientOf(answers: Answer[], token?: () => Promise<string>): { client: Turnlog; requests: Headers[] } {
  const requests: Headers[] = [];
  const send: typeof fetch = (url, init) => {
    const headers = new Headers(init?.headers);
    requests.push(headers);
    const answer = answers.shift();
    if (!answer) throw new Error("no more answers");
    return Promise.resolve().then(() => answer(new URL(String(url)), headers));
  };
  return { client: new Turnlog({ baseUrl: "http://service", fetch: send, ...(token ? { token } : {}) }), requests };
}

const problem = (status: number, code: string, headers: Record<string, string> = {}): Response =>
  Response.json({ status, code, detail: `it is ${code}`, retryable: status >= 429 }, { status, headers });
const stream = (text: string): Response => new Response(text, { headers: { "content-type": "text/event-stream" } });
const frame = (sequence: number): string =>
  `id: ${sequence}-abc\ndata: {"sequence": ${sequence}, "type": "x", "data": {}}\n\n`;
const DONE = 'id: 9-abc\nevent: done\ndata: {"reason": "finished"}\n\n';
const FAST = { min: 1, max: 2 };

test("a token is asked for with each request, and again when the service answers 401", async () => {
  const tokens = ["old", "new"];
  const { client, requests } = clientOf(
    [() => problem(401, "unauthenticated"), () => Response.json({ agents: [], default: "a" })],
    () => Promise.resolve(tokens.shift() ?? "none"),
  );

  await client.listAgents();

  assert.deepEqual(requests.map((headers) => headers.get("authorization")), ["Bearer old", "Bearer new"]);
});

test("a service that answers 401 twice is not asked again", async () => {
  const refuse = (): Response => problem(401, "unauthenticated");
  const { client, requests } = clientOf([refuse, refuse, refuse], () => Promise.resolve("t"));

  await assert.rejects(client.listAgents(), { status: 401, code: "unauthenticated" });
  assert.equal(requests.length, 2);
});

test("a request is sent again with the same key if its answer is lost or the server is busy", async () => {
  const { client, requests } = clientOf([
    () => { throw new TypeError("fetch failed"); },
    () => problem(503, "store_unavailable", { "retry-after": "0" }),
    () => Response.json({ session_id: "s" }, { status: 201 }),
  ]);

  assert.equal((await client.createSession()).id, "s");
  const keys = requests.map((headers) => headers.get("idempotency-key"));
  assert.equal(new Set(keys).size, 1);
  assert.match(keys[0] ?? "", /^[0-9a-f]{32}$/);
});

test("a refusal is not sent again, also if a proxy answers without a problem document", async () => {
  const { client, requests } = clientOf([() => new Response("<html>", { status: 403, statusText: "Forbidden" })]);

  await assert.rejects(client.listAgents(), (error: unknown) => {
    assert.ok(error instanceof TurnlogProblem);
    assert.deepEqual([error.code, error.message], ["http_403", "The server answered with 403 Forbidden"]);
    return true;
  });
  assert.equal(requests.length, 1);
});

test("a stream resumes with the last id after a planned end, a cut, a refusal for now, and repeats nothing", async () => {
  const { client, requests } = clientOf([
    () => stream(frame(1) + frame(2) + "retry: 1\n\n"),
    () => { throw new TypeError("fetch failed"); },
    () => problem(429, "rate_limited", { "retry-after": "0" }),
    () => stream(frame(2) + frame(3) + "id: 4-abc\ndata: {half"),
    () => stream(frame(4) + DONE),
  ]);
  const connections: Connection[] = [];
  const seen: number[] = [];
  const onConnection = (connection: Connection): void => void connections.push(connection);

  for await (const event of client.session("s").events({ onConnection, backoff: FAST })) seen.push(event.sequence);

  assert.deepEqual(seen, [1, 2, 3, 4]);
  assert.deepEqual(requests.map((headers) => headers.get("last-event-id")), ["0", "2-abc", "2-abc", "2-abc", "3-abc"]);
  const live = connections.filter((each) => each.state === "live");
  assert.deepEqual(live.map((each) => [each.cursor, each.resumed]), [["0", false], ["2-abc", true], ["3-abc", true]]);
  assert.deepEqual(connections.at(-1), { state: "ended", sequence: 4, cursor: "9-abc", reason: "finished" });
});

test("a connection that stays silent is given up, and the stream resumes", async () => {
  const silent = (): Response => stream("");
  const { client } = clientOf([
    () => new Response(new ReadableStream<Uint8Array>(), silent()), // nothing ever comes
    () => stream(frame(1) + DONE),
  ]);
  const seen: number[] = [];

  for await (const event of client.session("s").events({ maxSilence: 20, backoff: FAST })) seen.push(event.sequence);

  assert.deepEqual(seen, [1]);
});

test("a cursor of before a restore is refused for good", async () => {
  const { client } = clientOf([() => problem(410, "cursor_gone")]);

  await assert.rejects(client.session("s").events({ after: "3-old" }).next(), { code: "cursor_gone" });
});
