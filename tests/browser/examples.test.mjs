/** The pages in `examples`, in Chromium, with a real server. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

import { openBrowser } from "./browser.mjs";
import { Server } from "./server.mjs";
import { serveFolder } from "./static.mjs";

const EXAMPLES = join(import.meta.dirname, "../../examples");
const DRAW = 'call draw_lots {"names": ["Ann", "Bo"], "count": 1}';

let browser, builtReact;
before(async () => {
  builtReact = await mkdtemp(join(tmpdir(), "turnlog-react-"));
  execFileSync("npx", ["vite", "build", "--logLevel", "error", "--emptyOutDir", "--outDir", builtReact], { cwd: join(EXAMPLES, "react") });
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  await rm(builtReact, { recursive: true, force: true });
});

/** Opens a page in a context of its own, or beside `other`, with short ways to use it. */
async function open(url, other) {
  const context = other?.page.browserContext() ?? (await browser.createBrowserContext());
  const page = await context.newPage();
  const errors = [];
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(url);
  return {
    page,
    errors,
    type: async (field, text) => {
      await page.waitForSelector(field, { visible: true });
      await page.type(field, text);
      await page.keyboard.press("Enter");
    },
    shows: (text) => page.waitForFunction((part) => document.body.innerText.includes(part), {}, text),
    click: (text) => page.evaluate((label) => [...document.querySelectorAll("button")].find((each) => each.textContent === label).click(), text),
    text: (selector) => page.$$eval(selector, (all) => all.map((each) => each.textContent).join("\n\n")),
    waitForText: (selector, length) =>
      page.waitForFunction((css, min) => (document.querySelector(css)?.textContent.length ?? 0) > min, {}, selector, length),
  };
}

test("the page with EventSource shows an answer once over a kill, and so does a second tab", async () => {
  const files = await serveFolder(join(EXAMPLES, "page"));
  const server = await Server.start({ CORS_ORIGINS: files.url, MODEL: "fake-150-20" });
  try {
    const one = await open(`${files.url}/?server=${server.url}`);
    await one.page.waitForFunction(() => location.hash);
    await one.type("input", "Tell me a story");
    await one.waitForText(".step", 60);
    const other = await open(one.page.url(), one);

    await server.kill();
    await one.shows("the server is away");
    await server.restart();

    const session = new URL(one.page.url()).hash.slice(1);
    for (const each of [one, other]) {
      await each.shows("completed");
      const [message] = await server.call("GET", `/sessions/${session}/messages`);
      assert.equal(await each.text(".step"), message.answer);
      assert.equal(await each.text(".user"), "Tell me a story");
      assert.deepEqual(each.errors, []);
    }
  } finally {
    await server.stop();
    files.close();
  }
});

test("the page with EventSource has buttons for approvals, and stops a turn", async () => {
  const files = await serveFolder(join(EXAMPLES, "page"));
  const server = await Server.start({ CORS_ORIGINS: files.url, MODEL: "fake-2000-20" });
  try {
    const page = await open(`${files.url}/?server=${server.url}&agent=raffle`);
    await page.page.waitForFunction(() => location.hash);
    await page.type("input", DRAW);
    await page.shows("approve");

    await page.click("approve");

    await page.shows("draw_lots → [");
    await page.waitForText(".step:last-child", 20);
    await page.click("Stop");
    await page.shows("cancelled");
    assert.deepEqual(page.errors, []);
  } finally {
    await server.stop();
    files.close();
  }
});

/** Starts the issuer of the example. Returns its address, the settings that it prints, and its process. */
async function startIssuer() {
  const process = spawn("node", [join(EXAMPLES, "sign-in/issuer.mjs")], { env: { ...globalThis.process.env, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface(process.stdout)) {
    const settings = Object.fromEntries(line.split(" ").filter((part) => part.includes("=")).map((part) => part.split("=")));
    return { url: settings.JWT_ISSUER, settings, process };
  }
  throw new Error("the issuer ended before it listened");
}

test("in the page with sign-in each person has sessions of their own", async () => {
  const issuer = await startIssuer();
  const server = await Server.start({ ...issuer.settings, MODEL: "fake-20-5" });
  try {
    const ann = await open(`${issuer.url}/?server=${server.url}`);
    await ann.type("input[name=name]", "Ann");
    await ann.type("input[name=content]", "I am Ann");
    await ann.waitForText("pre", 60);
    const bo = await open(`${issuer.url}/?server=${server.url}`);
    await bo.type("input[name=name]", "Bo");
    await bo.type("input[name=content]", "I am Bo");
    await bo.waitForText("pre", 60);
    const again = await open(`${issuer.url}/?server=${server.url}`);
    await again.type("input[name=name]", "Ann");

    await again.waitForText("pre", 60);
    assert.equal(await again.text("h2"), "I am Ann");
    assert.equal(await bo.text("h2"), "I am Bo");
    assert.deepEqual([ann.errors, bo.errors, again.errors], [[], [], []]);
  } finally {
    await server.stop();
    issuer.process.kill();
  }
});

test("the page in React shows an answer once over a kill, and again after a reload", async () => {
  const files = await serveFolder(builtReact);
  const server = await Server.start({ CORS_ORIGINS: files.url, MODEL: "fake-150-20" });
  try {
    const page = await open(`${files.url}/?server=${server.url}`);
    await page.type("input", "Tell me a story");
    await page.waitForText(".assistant", 60);

    await server.kill();
    await page.shows("connecting again");
    await server.restart();

    await page.shows("ready");
    const session = new URL(page.page.url()).hash.slice(1);
    const [message] = await server.call("GET", `/sessions/${session}/messages`);
    assert.equal(await page.text(".assistant .text"), message.answer);
    await page.page.reload();
    await page.shows(message.answer);
    assert.equal(await page.text(".user"), "Tell me a story");
    assert.deepEqual(page.errors, []);
  } finally {
    await server.stop();
    files.close();
  }
});

test("the page in React has buttons for approvals, and stops a turn", async () => {
  const files = await serveFolder(builtReact);
  const server = await Server.start({ CORS_ORIGINS: files.url, MODEL: "fake-2000-20" });
  try {
    const page = await open(`${files.url}/?server=${server.url}&agent=raffle`);
    await page.type("input", DRAW);
    await page.shows("approve");

    await page.click("approve");

    await page.shows("draw_lots → [");
    await page.waitForText(".assistant .text", 20);
    await page.click("Stop");
    await page.shows("ready");
    assert.deepEqual(page.errors, []);
  } finally {
    await server.stop();
    files.close();
  }
});
