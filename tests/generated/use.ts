/** Uses the client that openapi-typescript generates. The address of the server is the argument. */

import assert from "node:assert/strict";

import createClient from "openapi-fetch";

import type { components, paths } from "./build/description.js";

type Event = components["schemas"]["Event"];

const address = process.argv[2];
assert(address);
const client = createClient<paths>({ baseUrl: address });

const created = await client.POST("/sessions", { body: { session_name: "Generated" } });
assert(created.data);
const path = { session_id: created.data.session_id };

// Only `content` is required of a message.
const posted = await client.POST("/sessions/{session_id}/messages", { params: { path }, body: { content: "Hello" } });
assert.equal(posted.response.status, 200);
assert(typeof posted.data === "object"); // with `accept: text/event-stream` it is the text of a stream
const { answer } = posted.data;
assert(answer);

const appended = await client.POST("/sessions/{session_id}/events", {
  params: { path },
  body: { event_type: "deployment", service: "web" },
});
assert.equal(appended.data?.sequences.length, 1);

const sessions = await client.GET("/sessions", { params: { query: { limit: 5 } } });
assert(sessions.data?.sessions.some((each) => each.session_id === path.session_id));

const messages = await client.GET("/sessions/{session_id}/messages", { params: { path } });
assert.deepEqual(messages.data?.map((each) => each.answer), [answer]);

const page = await client.GET("/sessions/{session_id}/events", { params: { path, query: { after: "0" } } });
assert(page.data);
const texts = page.data.events.map(textOf).filter(Boolean);
assert(texts.includes(answer));
assert(texts.includes("web"));

const missing = await client.GET("/sessions/{session_id}", { params: { path: { session_id: "missing" } } });
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
