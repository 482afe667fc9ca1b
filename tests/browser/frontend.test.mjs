/** The examples of docs/use/frontend.md, as they are printed, on pages of another origin than the service. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { openBrowser } from "./browser.mjs";
import { Issuer } from "./issuer.mjs";
import { Pages } from "./pages.mjs";
import { Server } from "./server.mjs";

const DOC = await readFile(join(import.meta.dirname, "../../docs/use/frontend.md"), "utf8");
const EXAMPLES = Object.fromEntries([...DOC.matchAll(/<!-- (\S+) -->\n```\w+\n(.*?)```/gs)].map(([, name, code]) => [name, code]));
const BASE = "http://127.0.0.1:7071";

let browser;
before(async () => (browser = await openBrowser()));
after(() => browser?.close());

/** A service, and pages on another port: an empty one for scripts, and the example that is a whole page. */
async function withService(settings, use) {
  const pages = await Pages.start();
  const server = await Server.start({ MODEL: "fake-12-0", CORS_ORIGINS: pages.url, ...settings });
  const imports = JSON.stringify({ imports: { "turnlog-client": "/client/index.js" } });
  pages.pages = {
    "/page": EXAMPLES["page.html"].replace(BASE, server.url),
    "/script": `<!doctype html><script type="importmap">${imports}</script>`,
  };
  const context = await browser.createBrowserContext();
  const open = async (path) => {
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(pages.url + path);
    return page;
  };
  try {
    await use({ server, pages, open });
  } finally {
    await context.close();
    await server.stop();
    pages.stop();
  }
}

/** Runs a script of the page, and `use` with what it exports and `argument`. Returns what it returns. */
function run(page, name, use, argument) {
  const module = `data:text/javascript,${encodeURIComponent(EXAMPLES[name])}`;
  return page.evaluate(`import(${JSON.stringify(module)}).then((example) => (${use})(example, ${JSON.stringify(argument)}))`);
}

/** Waits until the newest message is completed, and returns it. */
async function answered(server, id) {
  for (;;) {
    const message = (await server.call("GET", `/sessions/${id}/messages`)).at(-1);
    if (message?.status === "completed") return message;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const textsOf = (page) => page.$$eval("#chat p", (all) => all.map((each) => each.textContent));
const hasText = (page, min) => page.waitForFunction((length) => document.querySelector("#chat p:nth-child(2)")?.textContent.length >= length, {}, min);

test("every block of code on the page is an example that a test runs", () => {
  assert.deepEqual(Object.keys(EXAMPLES), ["page.html", "reload.js", "watch.js", "client.js"]);
  assert.equal(DOC.split("\n```").length - 1, 2 * Object.keys(EXAMPLES).length);
});

test("the page with EventSource shows each message and word once, over a kill of the server and a reload", async () => {
  await withService({ MODEL: "fake-200-20", CORS_ORIGINS: "" }, async ({ server, open }) => {
    const page = await open("/page");
    await page.waitForFunction(() => form.onsubmit !== null);
    await page.type("#content", "Tell me a story");
    await page.keyboard.press("Enter");
    await hasText(page, 50);

    await server.kill();
    await server.restart();

    const id = await page.evaluate(() => location.hash.slice(1));
    const message = await answered(server, id);
    await hasText(page, message.answer.length);
    assert.deepEqual(await textsOf(page), ["You: Tell me a story", message.answer]);
    await page.reload();
    await hasText(page, message.answer.length);
    assert.deepEqual(await textsOf(page), ["You: Tell me a story", message.answer]);
    await page.type("#content", 'call calculate {"expression": "6*7"}');
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelectorAll("#chat p").length === 5);
    assert.deepEqual((await textsOf(page)).slice(2, 4), ['You: call calculate {"expression": "6*7"}', "calculate: 42"]);
  });
});

test("after a reload the messages and the stream have all that a session has", async () => {
  await withService({}, async ({ server, open }) => {
    const { session_id: id } = await server.call("POST", "/sessions", {});
    const page = await open("/script");
    const load = () => run(page, "reload.js", ({ load }, [base, id]) => load(base, id), [server.url, id]);
    assert.deepEqual(await load(), { messages: [], after: 1 });
    for (const content of ['call calculate {"expression": "6*7"}', "Hello"]) {
      await server.call("POST", `/sessions/${id}/messages`, { content });
      await answered(server, id);
    }
    const { head } = await server.call("GET", `/sessions/${id}`);
    const ended = await load();
    assert.equal(ended.after, head);
    assert.deepEqual(ended.messages, await server.call("GET", `/sessions/${id}/messages`));
    assert.equal(ended.messages[0].tool_calls[0].response, 42);

    const running = await server.call("POST", `/sessions/${id}/messages`, { content: "Wait", model: "hang-1" });
    await server.call("POST", `/sessions/${id}/messages`, { content: "Later" });
    const { messages, after: cursor } = await load();

    assert.deepEqual(messages, ended.messages);
    const { events } = await server.call("GET", `/sessions/${id}/events?after=${cursor}`);
    assert.deepEqual([events[0].type, events[0].message_id], ["user_message", running.message_id]);
  });
});

test("with tickets an EventSource follows a session beyond the end of its token, and gets each event once", async () => {
  const issuer = await Issuer.start();
  try {
    await withService({ ...issuer.settings, MODEL: "fake-150-20" }, async ({ server, open }) => {
      const headers = { authorization: `Bearer ${issuer.token("ann", 600)}`, "content-type": "application/json" };
      const call = async (method, path, body) =>
        (await fetch(server.url + path, { method, headers: { ...headers, prefer: "respond-async" }, body: JSON.stringify(body) })).json();
      const { session_id: id } = await call("POST", "/sessions", {});
      const tokens = [issuer.token("ann", 2), issuer.token("ann", 600)]; // the first one ends while the turn runs
      const page = await open("/script");
      const watch = ({ watch }, [base, id, tokens]) => {
        Object.assign(window, { events: [], asked: 0 });
        const token = async () => tokens[Math.min(window.asked++, tokens.length - 1)];
        window.closeStream = watch(base, id, token, (event) => window.events.push(event));
      };
      await run(page, "watch.js", watch, [server.url, id, tokens]);
      await page.waitForFunction(() => window.events.length > 0);

      await call("POST", `/sessions/${id}/messages`, { content: "Hello" });
      await page.waitForFunction(() => window.asked > 1);
      await call("POST", `/sessions/${id}/messages`, { content: "Hello again" });
      await page.waitForFunction(() => window.events.filter((event) => event.type === "run.complete").length === 2);

      const sequences = await page.evaluate(() => window.events.map((event) => event.sequence));
      assert.deepEqual(sequences, sequences.map((_, index) => index + 1));
      await page.evaluate(() => window.closeStream());
    });
  } finally {
    issuer.stop();
  }
});

test("the client draws a session in several tabs of another origin, over one stream", async () => {
  await withService({ CORS_ORIGINS: "" }, async ({ server, open }) => {
    const { session_id: id } = await server.call("POST", "/sessions", { agent_name: "raffle" });
    const tabs = [await open("/script"), await open("/script")];
    const show = ({ show }, [base, id]) => void show(base, id, (conversation) => (window.shown = conversation.turns.at(-1)?.answer));
    for (const tab of tabs) await run(tab, "client.js", show, [server.url, id]);

    await server.call("POST", `/sessions/${id}/messages`, { content: "Hello" });
    const { answer } = await answered(server, id);
    for (const tab of tabs) await tab.waitForFunction((text) => window.shown === text, {}, answer);
    assert.equal((await tabs[0].evaluate(async () => (await navigator.locks.query()).held)).length, 1);
  });
});
