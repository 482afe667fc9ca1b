/** Uses the client that @hey-api/openapi-ts generates. The address of the server is the argument. */

import assert from "node:assert/strict";

import { client } from "./build/hey_api/client.gen.js";
import {
  appendEvents,
  createSession,
  getSession,
  listEvents,
  listMessages,
  listSessions,
  postMessage,
} from "./build/hey_api/sdk.gen.js";
import type { Event } from "./build/hey_api/types.gen.js";

const address = process.argv[2];
assert(address);
client.setConfig({ baseUrl: address });

const created = await createSession({ body: { session_name: "Generated" } });
assert(created.data);
const path = { session_id: created.data.session_id };

const posted = await postMessage({ path, body: { content: "Hello" } });
assert(typeof posted.data === "object"); // with `accept: text/event-stream` it is the text of a stream
const { answer } = posted.data;
assert(answer);

const one = await appendEvents({ path, body: { event_type: "deployment", service: "web" } });
assert.equal(one.data?.sequences.length, 1);
const two = await appendEvents({ path, body: [{ event_type: "note" }, { event_type: "note" }] });
assert.equal(two.data?.sequences.length, 2);

const sessions = await listSessions({ query: { limit: 5 } });
assert(sessions.data?.sessions.some((each) => each.session_id === path.session_id));

const messages = await listMessages({ path });
assert.deepEqual(messages.data?.map((each) => each.answer), [answer]);

const page = await listEvents({ path, query: { after: "0" } });
assert(page.data);
const texts = page.data.events.map(textOf).filter(Boolean);
assert(texts.includes(answer));
assert(texts.includes("web"));

const missing = await getSession({ path: { session_id: "missing" } });
assert.equal(missing.error?.code, "session_not_found");

/** What an event says: its `origin`, then its `type`, says which fields `data` has. */
function textOf(event: Event): string {
  // @ts-expect-error Not every event has a text.
  void (() => event.data.text.length);
  if ("origin" in event) return String(event.data["service"]);
  const time: string = event.timestamp;
  assert(!Number.isNaN(Date.parse(time)));
  switch (event.type) {
    case "message.complete":
      return event.data.text;
    case "tool_call.complete":
      return event.data.name;
    case "run.complete":
      // @ts-expect-error The end of a turn has no text.
      void event.data.text;
      return "";
    default:
      return "";
  }
}
