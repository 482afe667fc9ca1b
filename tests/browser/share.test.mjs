import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { openBrowser } from "./browser.mjs";
import { Pages } from "./pages.mjs";
import { Server } from "./server.mjs";

const WAIT_MS = 60_000; // a wait for a state fails after this time; it is not a measure of anything

let browser;
let server;
let pages;
let context;

before(async () => {
  [browser, server] = await Promise.all([openBrowser(), Server.start({ MODEL: "fake-12-0" })]);
});
after(async () => {
  await Promise.all([browser?.close(), server?.stop()]);
});
beforeEach(async () => {
  pages = await Pages.start(server.url, { "/tab": "<!doctype html><title>tab</title>" });
  context = await browser.createBrowserContext(); // tabs of one browser
});
afterEach(async () => {
  await context.close();
  pages.stop();
});

/** Opens a tab that follows the session, and shares its stream. */
async function openTab(sessionId, options = {}) {
  const tab = await context.newPage();
  tab.setDefaultTimeout(WAIT_MS);
  await tab.goto(`${pages.url}/tab`);
  await tab.evaluate(
    async (id, given) => {
      const { Turnlog } = await import("/client/index.js");
      Object.assign(window, { events: [], states: [], end: null });
      const session = new Turnlog({ baseUrl: location.origin }).session(id);
      const onConnection = (connection) => window.states.push(connection.state);
      const read = async () => {
        for await (const { sequence, type } of session.events({ share: true, onConnection, ...given })) window.events.push({ sequence, type });
        return "done";
      };
      void read().then((end) => (window.end = end), (error) => (window.end = error.code ?? String(error)));
    },
    sessionId,
    { follow: true, ...options },
  );
  return tab;
}

/** Waits until `isTrue` of the arguments holds in the tab. A tab behind another one draws no frames, so none is waited for. */
const becomes = (tab, isTrue, ...given) => tab.waitForFunction(isTrue, { polling: 20 }, ...given);
const sequencesOf = (tab) => tab.evaluate(() => window.events.map((event) => event.sequence));
const hasEvents = (tab, count) => becomes(tab, (min) => window.events.length >= min, count);
const hasEnded = (tab, turns = 1) =>
  becomes(tab, (count) => window.events.filter((event) => event.type === "run.complete").length >= count, turns);

/** Waits until this many streams are open at the server. */
async function streamsAre(count) {
  const ends = Date.now() + WAIT_MS;
  while (pages.openStreams !== count) {
    assert.ok(Date.now() < ends, `${pages.openStreams} streams are open, not ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function newTurn(sessionId, model) {
  await server.call("POST", `/sessions/${sessionId}/messages`, { content: "Tell me a story", model });
}

async function assertWhole(tab, sessionId) {
  const { head } = await server.call("GET", `/sessions/${sessionId}`);
  await hasEvents(tab, head);
  assert.deepEqual(await sequencesOf(tab), Array.from({ length: head }, (_, index) => index + 1), "each event once, in order");
}

test("tabs share one stream; when the leader is closed or crashes another tab reads on, and nothing is lost or twice", async () => {
  const { session_id: id } = await server.call("POST", "/sessions", {});
  await newTurn(id, "fake-400-20");
  const leader = await openTab(id);
  await hasEvents(leader, 10);
  const second = await openTab(id);
  const third = await openTab(id); // they join in the middle, and read what was before
  await Promise.all([hasEvents(second, 20), hasEvents(third, 20)]);
  await streamsAre(1);

  await leader.close();

  const seen = (await sequencesOf(second)).length;
  await hasEvents(second, seen + 10); // the turn still runs
  await streamsAre(1);
  await Promise.all([hasEnded(second), hasEnded(third)]);
  await assertWhole(second, id);
  await assertWhole(third, id);

  const crash = once(second, "error"); // it was next in the queue for the lock
  void second.goto("chrome://crash").catch(() => undefined);
  await crash;
  await newTurn(id, "fake-12-0");
  await hasEnded(third, 2);
  await assertWhole(third, id);
  await streamsAre(1);
});

test("of an idle session a later tab reads all, and keeps no stream open", async () => {
  const { session_id: id } = await server.call("POST", "/sessions", {});
  await newTurn(id, "fake-12-0");
  const leader = await openTab(id);
  await hasEnded(leader);

  const follower = await openTab(id);

  await assertWhole(follower, id);
  await becomes(follower, () => window.states.includes("live"));
  await streamsAre(1);
  const opened = pages.streams;
  await newTurn(id, "fake-12-0");
  await hasEnded(follower, 2);
  await assertWhole(follower, id);
  await assertWhole(leader, id);
  assert.equal(pages.streams, opened, "what follows comes from the leader");
});

test("without follow every tab ends with the session's turns, and a session that is deleted ends all", async () => {
  const { session_id: id } = await server.call("POST", "/sessions", {});
  await newTurn(id, "fake-60-20");
  const tabs = [await openTab(id, { follow: false }), await openTab(id, { follow: false })];
  const following = [await openTab(id), await openTab(id)];
  for (const tab of tabs) {
    await becomes(tab, () => window.end === "done");
    await assertWhole(tab, id);
  }
  for (const tab of following) await assertWhole(tab, id); // one that has not read the log yet would not find the session

  await server.call("DELETE", `/sessions/${id}`);

  for (const tab of following) {
    await becomes(tab, () => window.end === "done");
    assert.equal(await tab.evaluate(() => window.states.at(-1)), "ended");
  }
  await streamsAre(0);
});

test("an aborted tab gets nothing more, and gives the stream to another one", async () => {
  const { session_id: id } = await server.call("POST", "/sessions", {});
  await newTurn(id, "fake-200-20");
  const leader = await context.newPage();
  await leader.goto(`${pages.url}/tab`);
  await leader.evaluate(async (session) => {
    const { Turnlog } = await import("/client/index.js");
    const abort = new AbortController();
    window.seen = [];
    const read = async () => {
      for await (const event of new Turnlog({ baseUrl: location.origin }).session(session).events({ follow: true, share: true, signal: abort.signal })) {
        window.seen.push(event.sequence);
        if (window.seen.length === 5) abort.abort();
      }
      window.isOver = true;
    };
    void read();
  }, id);
  const other = await openTab(id);

  await becomes(leader, () => window.isOver);
  await hasEnded(other);

  assert.deepEqual(await leader.evaluate(() => window.seen), [1, 2, 3, 4, 5]);
  await assertWhole(other, id);
  await streamsAre(1);
});

test("what the service refuses is an error in every tab, and users of other names share nothing", async () => {
  for (const tab of [await openTab("none"), await openTab("none")]) {
    await becomes(tab, () => window.end === "session_not_found");
  }
  const { session_id: id } = await server.call("POST", "/sessions", {});
  await openTab(id, { share: "ann" });
  await openTab(id, { share: "bob" });
  await streamsAre(2);
});
