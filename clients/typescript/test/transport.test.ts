import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff, NetworkError, Turnlog, TurnlogProblem, type Connection } from "../src/index.js";

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

test("each event has the cursor that continues after it", async () => {
  const { client, requests } = clientOf([() => stream(frame(1) + frame(2) + DONE), () => stream(DONE)]);
  const session = client.session("s");
  const cursors: string[] = [];

  for await (const event of session.events()) cursors.push(event.cursor);
  assert.deepEqual(cursors, ["1-abc", "2-abc"]);

  await session.events({ after: cursors[0] ?? "" }).next();
  assert.equal(requests[1]?.get("last-event-id"), "1-abc");
});

test("a caller's idempotency key is sent as the header, and not in the body", async () => {
  const seen: unknown[] = [];
  const send: typeof fetch = (_, init) => {
    seen.push([new Headers(init?.headers).get("idempotency-key"), JSON.parse(String(init?.body))]);
    return Promise.resolve(Response.json({ session_id: "s" }, { status: 201 }));
  };
  const client = new Turnlog({ baseUrl: "http://service", fetch: send });

  const session = await client.createSession({ session_name: "n", idempotencyKey: "k1" });
  await session.send("Hi", { model: "m", idempotencyKey: "k2" });

  assert.deepEqual(seen, [["k1", { session_name: "n" }], ["k2", { content: "Hi", model: "m" }]]);
});

test("a deletion whose answer was lost is done if the repeat finds nothing; the first try must find something", async () => {
  const missing = (): Response => problem(404, "session_not_found");
  const lost = (): Response => {
    throw new TypeError("fetch failed");
  };

  await clientOf([lost, missing]).client.session("s").delete();
  await assert.rejects(clientOf([missing]).client.session("s").delete(), { code: "session_not_found" });
});

test("a connection that ends without a word of the service is a failure, with longer waits", async () => {
  const { client } = clientOf([
    () => stream(""),
    () => new Response("<html>Hello</html>", { headers: { "content-type": "text/html" } }),
    () => stream(": open\n\n"),
    () => stream("retry: 1\n\n"),
    () => stream(DONE),
  ]);
  const waits: string[] = [];
  const onConnection = (each: Connection): void => {
    if (each.state === "waiting") waits.push(each.error instanceof NetworkError ? "failure" : "planned");
  };

  await client.session("s").events({ onConnection, backoff: FAST }).next();

  assert.deepEqual(waits, ["failure", "failure", "failure", "planned"]);
});

test("waits differ between readers, also those that the service asks for", () => {
  const all = Array.from({ length: 50 }, () => new Backoff({ min: 1000, max: 1000 }).next(2000));

  assert.ok(all.every((each) => each >= 2000 && each <= 2500));
  assert.ok(new Set(all).size > 1);
});

test("a URL without a scheme is refused at once", () => {
  for (const baseUrl of ["localhost:7071", "turnlog.example", ""]) assert.throws(() => new Turnlog({ baseUrl }), /baseUrl/);
});

test("a fetch that must not be a method is called as a function", async () => {
  const send = function (this: unknown): Promise<Response> {
    assert.equal(this, undefined);
    return Promise.resolve(Response.json({ agents: [], default: "a" }));
  };

  assert.equal((await new Turnlog({ baseUrl: "http://service", fetch: send }).listAgents()).default, "a");
});

test("an error in the caller's own code is not taken for one of the network", async () => {
  const { client, requests } = clientOf([() => stream(frame(1) + DONE)]);
  const onConnection = (): void => {
    throw new TypeError("a mistake");
  };

  await assert.rejects(client.session("s").events({ onConnection, backoff: FAST }).next(), { message: "a mistake" });
  assert.equal(requests.length, 0);
});

test("an abort ends the stream before the events that have come already", async () => {
  const { client } = clientOf([() => stream(frame(1) + frame(2) + DONE)]);
  const controller = new AbortController();
  const seen: number[] = [];

  for await (const event of client.session("s").events({ signal: controller.signal })) {
    seen.push(event.sequence);
    controller.abort();
  }

  assert.deepEqual(seen, [1]);
});

test("the time that the reader of the events takes is no silence of the service", async () => {
  const { client, requests } = clientOf([() => stream(frame(1) + frame(2) + DONE)]);
  const seen: number[] = [];

  for await (const event of client.session("s").events({ maxSilence: 20, backoff: FAST })) {
    seen.push(event.sequence);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }

  assert.deepEqual([seen, requests.length], [[1, 2], 1]);
});
