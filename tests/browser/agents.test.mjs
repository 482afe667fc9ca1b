import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { ConsolePage, openBrowser } from "./browser.mjs";
import { Server } from "./server.mjs";

let browser;
let folder;
let server;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "turnlog-agents-"));
  await declare("clerk");
  [browser, server] = await Promise.all([openBrowser(), Server.start({ MODEL: "fake-12-0", AGENTS_DIR: folder })]);
});
after(async () => {
  await Promise.all([browser?.close(), server?.stop(), rm(folder, { recursive: true })]);
});

/** Saves a file with an agent. */
async function declare(name) {
  const agent = `Agent(name="${name}", description="Helps.", instructions="Help.")`;
  await writeFile(join(folder, `${name}.py`), `from turnlog import Agent\n\n${name.toUpperCase()} = ${agent}\n`);
}

/** Saves a file with an agent, and returns once the server uses it. */
async function declareLive(name) {
  await declare(name);
  for (;;) {
    const { agents } = await server.call("GET", "/agents");
    if (agents.some((each) => each.name === name)) return;
  }
}

test("the picker shows agents that were saved after the page was loaded, and keeps what was chosen", async () => {
  const console = await ConsolePage.open(browser, server.url);
  await console.page.waitForSelector('#agent option[value="clerk"]');
  await console.page.select("#agent", "clerk");

  await declareLive("porter");
  await console.page.focus("#agent"); // as a click does before it opens the list
  await console.page.waitForSelector('#agent option[value="porter"]');
  await declareLive("driver");
  await console.page.evaluate(() => window.dispatchEvent(new Event("focus"))); // somebody comes back from the editor
  await console.page.waitForSelector('#agent option[value="driver"]');
  assert.equal(await console.page.$eval("#agent", (field) => field.value), "clerk");

  await console.page.select("#agent", "driver");
  await console.page.type("#content", "Hello");
  await console.page.keyboard.press("Enter");
  await console.answer();
  assert.equal(console.sent("POST", "/messages")[0].agent, "driver");
  assert.deepEqual(console.errors, []);
});

test("a session whose agent is saved later shows it as chosen", async () => {
  const { session_id: id } = await server.call("POST", "/sessions", { session_name: "Painted", agent_name: "painter" });
  const console = await ConsolePage.open(browser, `${server.url}/#/sessions/${id}`);
  await console.shows("#title", "Painted");
  assert.equal(await console.page.$eval("#agent", (field) => field.value), "assistant"); // the default, until then

  await declareLive("painter");
  await console.page.focus("#agent");

  await console.page.waitForFunction(() => document.querySelector("#agent").value === "painter");
});
