import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { ConsolePage, openBrowser } from "./browser.mjs";
import { Server } from "./server.mjs";

const DRAW = 'call draw_lots {"names": ["Ann", "Bo"], "count": 1}';
const LONG = "fake-5000-20";

let browser;
let server;
let pages = [];

before(async () => {
  [browser, server] = await Promise.all([openBrowser(), Server.start({ MODEL: "fake-12-0" })]);
});
after(async () => {
  await Promise.all([browser?.close(), server?.stop()]);
});
afterEach(async () => {
  const errors = pages.flatMap((each) => each.errors);
  await Promise.all(pages.map((each) => each.close()));
  pages = [];
  assert.deepEqual(errors, [], "the page reported errors");
});

async function open(path = "/", viewport = {}) {
  const page = await ConsolePage.open(browser, server.url + path, viewport);
  pages.push(page);
  return page;
}

test("the first screen has three examples, and one of them is a live turn after a click", async () => {
  const console = await open();
  await console.shows(".card", "Decide yourself");
  assert.equal((await console.page.$$(".card")).length, 3);

  await console.click(".card", "Watch an answer");

  const early = await console.answer(10);
  await console.shows("#state", "running");
  const later = await console.answer(early.length + 20);
  assert.ok(later.startsWith(early), "text that was shown stays");
  await console.shows(".sessions .current", "Tell me a story");
  await console.shows("#connection", "Live");
});

test("a message that the stream shows before its request is answered is shown once", async () => {
  const begin = () => {
    const real = window.fetch;
    window.held = new Promise((resolve) => (window.release = resolve));
    window.fetch = async (url, init) => {
      const answer = await real(url, init);
      if (init?.method === "POST" && String(url).endsWith("/messages")) await window.held;
      return answer;
    };
  };
  const console = await open("/", { begin });
  await console.send("Tell me a story", { model: LONG });
  await console.answer(10);

  await console.hides("#queue li");
  assert.deepEqual(await console.page.$$eval(".user", (all) => all.map((each) => each.textContent)), ["You: Tell me a story"]);
  await console.page.evaluate(() => window.release());
  await console.page.waitForFunction(() => document.querySelector("#content").value === "");
  const [first] = console.sent("POST", "/messages");
  await console.send("And another one");
  await console.shows("#queue li", "And another one");
  const [, second] = console.sent("POST", "/messages");
  assert.match(first.client_id, /^[0-9a-f]{32}$/);
  assert.notEqual(first.client_id, second.client_id);
});

test("reasoning, a tool call with arguments and result, and the tokens are shown", async () => {
  const console = await open();

  await console.send('call calculate {"expression": "6*7"}', { model: "think-12-0" });

  await console.shows(".tool.completed", "calculate");
  await console.shows(".turn-end", "tokens");
  assert.match(await console.text(".reasoning summary"), /Reasoning · \d+ words/);
  assert.match(await console.text(".tool"), /"expression": "6\*7"[\s\S]*Result42/);
  await console.shows("#usage-text", "2 model calls");
  await console.shows(".row", "run.complete");
});

test("a tool call waits for its approval, and runs after it", async () => {
  const console = await open();
  await console.send(DRAW, { agent: "raffle" });
  await console.shows("#state", "waits for you");

  await console.click(".decision button", "Approve");

  await console.shows(".tool.completed", "done");
  await console.hides(".decision");
  await console.shows(".turn-end", "tokens");
});

test("a tool call that is denied does not run, and the model reads the reason", async () => {
  const console = await open();
  await console.send(DRAW, { agent: "raffle" });
  await console.shows(".decision button", "Deny");
  await console.page.type(".decision input", "not today");

  await console.click(".decision button", "Deny");

  await console.shows(".tool.denied", "not today");
  await console.shows(".turn-end", "tokens");
});

test("a tool that the client runs gets its answer from the page", async () => {
  const console = await open();
  await console.send('call ask_user {"question": "Who takes part?"}', { agent: "raffle" });
  await console.shows(".decision button", "Answer");
  await console.page.type(".decision input", "Ann and Bo");

  await console.click(".decision button", "Answer");

  await console.shows(".tool.completed", "Ann and Bo");
});

test("Escape stops the turn, and what was written stays", async () => {
  const console = await open();
  await console.send("Long", { model: LONG });
  const written = await console.answer(30);

  await console.page.keyboard.press("Escape");

  await console.shows(".turn-end", "stopped");
  assert.ok((await console.answer()).startsWith(written));
  await console.hides("#stop");
});

test("messages wait while a turn runs; one is taken back, the other one runs", async () => {
  const console = await open();
  await console.send("Long", { model: LONG });
  await console.answer(10);
  await console.send("First in line");
  await console.shows("#queue li", "First in line");
  await console.send("Second in line");
  await console.shows("#queue li", "Second in line");

  await console.click('#queue button[aria-label="Take back: First in line"]');
  await console.hides('#queue button[aria-label="Take back: First in line"]');
  await console.click("#stop");

  await console.shows(".user", "Second in line");
  await console.hides("#queue li");
  assert.equal((await console.page.$$(".turn")).length, 2);
});

test("the agent of a session stays chosen when the session is opened again", async () => {
  const first = await open();
  await first.send("Hello", { agent: "raffle" });
  await first.shows(".turn-end", "tokens");

  const second = await open(`/#/sessions/${await first.sessionId()}`);

  await second.shows(".turn-end", "tokens");
  assert.equal(await second.page.$eval("#agent", (field) => field.value), "raffle");
});

test("two tabs show the same turn live, and a decision in one is seen in the other", async () => {
  const first = await open();
  await first.send(DRAW, { agent: "raffle" });
  await first.shows(".decision button", "Approve");
  const second = await open(`/#/sessions/${await first.sessionId()}`);
  await second.shows(".decision button", "Approve");

  await second.click(".decision button", "Approve");

  for (const each of [first, second]) await each.shows(".turn-end", "tokens");
  assert.equal(await first.answer(), await second.answer());
});

test("a change of a project is shown as a patch, with the document", async () => {
  const project = await server.call("POST", "/projects", { name: "Support" });
  const { session_id: id } = await server.call("POST", `/projects/${project.id}/sessions`, {});
  const console = await open(`/#/sessions/${id}`);

  await console.send("Create a triage agent", { agent: "vibecoder" });

  await console.shows("summary", "Project changed");
  await console.click("summary", "Project changed");
  await console.click("button", "Show the document");
  await console.shows(".tool-body pre", '"nodes"');
});

test("a turn that fails says why, and can be sent again", async () => {
  const console = await open();
  await console.send("Hello", { model: "fail-401" });

  await console.shows(".failure", "The turn failed.");
  await console.click(".failure button", "Send again");

  await console.shows(".turn:nth-child(2) .user", "Hello");
});

test("a session is deleted after a confirmation, and disappears from the list", async () => {
  const console = await open();
  await console.send("To be deleted");
  await console.shows(".sessions .current", "To be deleted");
  await console.shows(".turn-end", "tokens");

  await console.click('.sessions .current button[title="Delete"]');
  await console.click("#confirm button", "Delete");

  await console.shows("#welcome", "Durable agent sessions");
  await console.hides(".sessions .current");
});

test("what people and models write is shown as text, never as markup", async () => {
  const console = await open();
  const content = '<img src=x onerror="document.title=1"> <b>bold</b>';

  await console.send(content);

  await console.shows(".user", content);
  await console.shows(".turn-end", "tokens");
  assert.equal((await console.page.$$(".turn img, .turn b")).length, 0);
});

test("a model's text has headings, lists, code and links, and blocks that did not change stay as they are", async () => {
  const console = await open();
  await console.shows(".card", "Watch");

  const [markup, isKept, links] = await console.page.evaluate(async () => {
    const folder = document.querySelector('link[href*="/view/"]').href.replace(/[^/]+$/, "");
    const { showText } = await import(`${folder}markdown.js`);
    const parent = document.createElement("div");
    showText(parent, "# Title\n\n- one\n- **two**");
    const title = parent.firstChild;
    const text = "# Title\n\n- one\n- **two**\n\n```py\nprint(1)\n\n# <b>\n```\nEnd `x` [a](https://a.example/) [b](javascript:alert(1)) 2 * 3 * 4";
    for (let length = 20; length <= text.length; length += 1) showText(parent, text.slice(0, length));
    return [parent.innerHTML, parent.firstChild === title, [...parent.querySelectorAll("a")].map((link) => link.href)];
  });

  assert.equal(
    markup,
    '<h4>Title</h4><ul><li>one</li><li><strong>two</strong></li></ul><pre class="code" tabindex="0"><code>print(1)\n\n# &lt;b&gt;</code></pre>' +
      '<p>End <code>x</code> <a href="https://a.example/" target="_blank" rel="noopener noreferrer">a</a> [b](javascript:alert(1)) 2 * 3 * 4</p>',
  );
  assert.ok(isKept);
  assert.deepEqual(links, ["https://a.example/"]);
});

test("Shift+Enter makes a line, and the skip link leads to the message", async () => {
  const console = await open();
  await console.shows(".card", "Watch");
  await console.page.focus("#content");
  await console.page.keyboard.type("one");
  await console.page.keyboard.down("Shift");
  await console.page.keyboard.press("Enter");
  await console.page.keyboard.up("Shift");
  await console.page.keyboard.type("two");

  assert.equal(await console.page.$eval("#content", (field) => field.value), "one\ntwo");
  await console.page.focus(".skip");
  await console.page.keyboard.press("Enter");
  assert.equal(await console.page.evaluate(() => document.activeElement.id), "content");
});

test("on a phone the list is a drawer, and nothing is wider than the screen", async () => {
  const console = await open("/", { width: 390, height: 844, isMobile: true, hasTouch: true });
  await console.send("Long", { model: LONG });
  await console.answer(200);
  const [width, content] = await console.page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
  assert.ok(content <= width, `${content} > ${width}`);
  const stop = await console.page.$eval("#stop", (button) => button.getBoundingClientRect().right);
  assert.ok(stop <= width);

  await console.click("#open-sidebar");
  await console.shows(".sidebar .current", "Long");
  await console.click("#close-sidebar");
  await console.hides(".sidebar");
});

test("the log is filtered by kind and by text, and shows the whole event", async () => {
  const console = await open();
  await console.send('call calculate {"expression": "1+1"}');
  await console.shows(".turn-end", "tokens");

  await console.click("#chips button", "text");
  await console.hides(".row.kind-text");
  await console.page.type("#filter", "calculate");
  await console.page.waitForFunction(() => [...document.querySelectorAll(".row")].every((row) => /calculate/.test(row.textContent)));
  await console.click(".row", "tool_call.complete");

  assert.equal(JSON.parse(await console.text("#detail")).data.response, 2);
});

test("the end stays in view while an answer grows, until somebody scrolls up; a button leads back", async () => {
  const console = await open("/", { height: 500 });
  await console.send("Long", { model: LONG });
  const fromEnd = () => console.page.$eval("#scroller", ({ scrollTop, clientHeight, scrollHeight }) => scrollHeight - scrollTop - clientHeight);
  await console.answer(1500);
  assert.ok((await fromEnd()) < 80);

  await console.page.$eval("#scroller", (element) => (element.scrollTop = 0));
  await console.shows("#jump", "Latest");
  const { length } = await console.answer();
  await console.answer(length + 200);
  assert.ok((await fromEnd()) > 80);

  await console.click("#jump");
  await console.hides("#jump");
  assert.ok((await fromEnd()) < 80);
});

test("a double click on an example, and two messages at once, begin one session", async () => {
  const clicked = await open();
  await clicked.shows(".card", "Watch an answer");
  await clicked.page.$eval(".card", (card) => [card.click(), card.click()]);
  await clicked.answer(10);
  assert.deepEqual([clicked.sent("POST", "/sessions").length, clicked.sent("POST", "/messages").length], [1, 1]);

  const written = await open();
  await written.shows(".card", "Watch");
  await written.page.evaluate(() => {
    for (const text of ["One", "Two"]) {
      document.getElementById("content").value = text;
      document.getElementById("composer").requestSubmit();
    }
  });
  for (const text of ["One", "Two"]) await written.shows(".user", text);
  assert.equal(written.sent("POST", "/sessions").length, 1);
});

test("a double click on Send again sends once, to the same agent and model", async () => {
  const console = await open();
  await console.send("Hello", { model: "fail-401", agent: "raffle" });
  await console.shows(".failure button", "Send again");

  await console.page.$eval(".failure button", (button) => [button.click(), button.click()]);

  await console.shows(".turn:nth-child(2) .failure", "The turn failed.");
  const sent = console.sent("POST", "/messages").map(({ content, agent, model }) => [content, agent, model]);
  assert.deepEqual(sent, [["Hello", "raffle", "fail-401"], ["Hello", "raffle", "fail-401"]]);
});

test("a message whose answer was lost is stored once, though somebody sends it again", async () => {
  const console = await open();
  await console.shows(".card", "Watch");
  await console.page.evaluate(() => {
    const real = window.fetch;
    window.cut = "/sessions";
    window.fetch = async (url, init) => {
      const response = await real(url, init);
      if (window.cut && init.method === "POST" && url.pathname.endsWith(window.cut)) throw new TypeError("the answer was lost");
      return response;
    };
  });
  const comesBack = () => console.page.waitForFunction(() => document.getElementById("content").value === "Only once");
  await console.send("Only once", { agent: "raffle" });
  await comesBack();
  await console.page.evaluate(() => (window.cut = "/messages"));

  await console.page.keyboard.press("Enter");
  await console.shows(".turn-end", "tokens"); // it was stored
  await comesBack();
  await console.page.evaluate(() => (window.cut = ""));
  const answered = console.page.waitForResponse((response) => /messages$/.test(response.url()));
  await console.page.keyboard.press("Enter");
  await answered;
  await console.send("Next", { agent: "raffle" });
  await console.shows(".turn:nth-child(2) .turn-end", "tokens");
  const messages = await server.call("GET", `/sessions/${await console.sessionId()}/messages`);
  assert.deepEqual(messages.map((each) => each.content), ["Only once", "Next"]);
  const creations = console.requests.filter((each) => each.method() === "POST" && /sessions$/.test(each.url()));
  assert.equal(new Set(creations.map((each) => each.headers()["idempotency-key"])).size, 1);
});

test("Escape in the filter clears it; only elsewhere it stops the turn", async () => {
  const console = await open();
  await console.send("Long", { model: LONG });
  await console.answer(10);

  await console.page.type("#filter", "delta");
  await console.page.keyboard.press("Escape");
  assert.equal(await console.page.$eval("#filter", (field) => field.value), "");
  assert.equal(console.sent("POST", "/cancel").length, 0);
  await console.page.focus("#content");
  await console.page.keyboard.press("Escape");

  await console.shows(".turn-end", "stopped");
  assert.equal(console.sent("POST", "/cancel").length, 1);
});

test("rows of the log stay the same elements while an answer grows, and the keyboard reaches them", async () => {
  const console = await open();
  await console.send("Long", { model: LONG });
  const { length } = await console.answer(10);
  await console.shows(".row", "message.delta");
  const before = await console.page.evaluateHandle(() => [...document.querySelectorAll(".row")]);
  const count = await console.page.$$eval(".row", (rows) => rows.at(-1).textContent);
  await console.answer(length + 100);
  await console.page.waitForFunction((old) => [...document.querySelectorAll(".row")].at(-1).textContent !== old, {}, count);
  assert.ok(await before.evaluate((rows) => rows.every((row) => row.isConnected)));

  await console.page.focus("#rows");
  for (const key of ["ArrowDown", "ArrowDown", "ArrowUp", "Enter"]) await console.page.keyboard.press(key);

  assert.equal(JSON.parse(await console.text("#detail")).type, "session.created");
  assert.equal(await console.page.$eval(".row.selected", (row) => row.getAttribute("aria-selected")), "true");
});

test("only the service's own link to a large result is a link", async () => {
  const console = await open();
  await console.shows(".card", "Watch");
  const path = "/sessions/s/tool_calls/c1";
  const responses = [{ href: path }, { href: path, more: 1 }, { href: "https://a.example/tool_calls/c1" }, { href: "/sessions/s/tool_calls/c2" }, { href: 1 }];

  const links = await console.inScript(
    "view/tool.js",
    ({ ToolView }, all) =>
      all.map((response) => {
        const view = new ToolView("c1", {});
        view.show({ id: "c1", name: "t", arguments: "{}", status: "completed", durationMs: 1, response });
        return view.element.querySelector("a")?.getAttribute("href") ?? null;
      }),
    responses,
  );

  assert.deepEqual(links, [path, null, null, null, null]);
});

test("a tab continues with the cursor of the last event, and one that was opened in the background pauses", async () => {
  const console = await open();
  await console.shows(".card", "Watch");

  const [after, states] = await console.inScript("page/watcher.js", async ({ Watcher }) => {
    const cursors = [];
    const shown = [];
    const session = {
      async *events({ after: cursor, signal }) {
        cursors.push(cursor);
        yield { sequence: cursors.length, cursor: `${cursors.length}-abc`, type: "x", data: {} };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    };
    const follow = () =>
      new Promise((resolve) => {
        const watcher = new Watcher(session, { onChange: () => resolve(watcher), onConnection: (each) => shown.push(each.state) });
      });
    const watcher = await follow();
    watcher.retryNow();
    watcher.close();
    Object.defineProperty(document, "hidden", { value: true });
    const timer = window.setTimeout;
    window.setTimeout = (call) => call() ?? 0; // the tab is hidden for long enough at once
    new Watcher(session, { onChange: () => undefined, onConnection: (each) => shown.push(each.state) }).close();
    window.setTimeout = timer;
    return [cursors, shown];
  });

  assert.deepEqual([after, states], [["0", "1-abc", "0"], ["paused"]]);
});

test("a session that is deleted elsewhere takes no more messages, and the next one does", async () => {
  const console = await open();
  await console.send("Hello");
  await console.shows(".turn-end", "tokens");

  await server.call("DELETE", `/sessions/${await console.sessionId()}`);

  await console.shows("#connection", "Deleted");
  await console.page.waitForSelector("#content:disabled");
  await console.click("#new-session");
  await console.page.waitForSelector("#content:enabled");
});

test("the button to delete a session names it as it is named now", async () => {
  const console = await open();
  await console.send("Old name");
  await console.shows(".turn-end", "tokens");
  await console.shows(".sessions .current", "Old name");

  await server.call("PATCH", `/sessions/${await console.sessionId()}`, { session_name: "New name" });
  await console.page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));

  await console.page.waitForSelector('.sessions .current button[aria-label="Delete New name"]');
  await console.click('.sessions .current button[title="Delete"]');
  await console.shows("#confirm-text", "New name");
});

test("the seconds until the next try change the page only when they change", async () => {
  const console = await open();
  await console.shows(".card", "Watch");

  const [role, changes] = await console.inScript("page/connection.js", ({ ConnectionView }) => {
    const element = document.getElementById("connection");
    const real = window.setInterval;
    let tick;
    window.setInterval = (call) => (tick = call) && 0;
    new ConnectionView().show({ state: "waiting", milliseconds: 600_000, error: new Error("away") });
    window.setInterval = real;
    const observer = new MutationObserver(() => undefined);
    observer.observe(element, { subtree: true, childList: true, characterData: true });
    for (let count = 0; count < 20; count += 1) tick();
    return [element.getAttribute("role"), observer.takeRecords().length];
  });

  assert.equal(role, null);
  assert.ok(changes < 20);
});

test("10 000 events: all are read, and only the rows in view are elements", async (t) => {
  const { session_id: id } = await server.call("POST", "/sessions", {});
  const list = Array.from({ length: 100 }, (_, index) => ({ event_type: `note.${index % 7}`, text: `note ${index}` }));
  for (let count = 0; count < 100; count += 1) await server.call("POST", `/sessions/${id}/events`, list);
  const console = await open("/console");
  await console.page.evaluate(() => {
    window.longest = 0;
    new PerformanceObserver((entries) => {
      for (const { duration } of entries.getEntries()) window.longest = Math.max(window.longest, duration);
    }).observe({ type: "longtask" });
  });

  await console.page.evaluate((session) => (location.hash = `#/sessions/${session}`), id);
  await console.shows("#log-count", "10,001 events");

  await console.shows(".row", "note 99");
  assert.ok((await console.page.$$(".row")).length < 100);
  t.diagnostic(`longest task: ${await console.page.evaluate(() => Math.round(window.longest))} ms`);
});
