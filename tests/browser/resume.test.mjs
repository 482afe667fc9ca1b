import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ConsolePage, openBrowser } from "./browser.mjs";
import { Server } from "./server.mjs";

let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

test("kill -9 in the middle of an answer: the page says so, connects again, and the turn continues to its end", async () => {
  const server = await Server.start();
  try {
    const console = await ConsolePage.open(browser, server.url);
    await console.send("Tell me a story", { model: "fake-400-40" });
    await console.answer(60);

    await server.kill();
    await console.shows("#connection", "Server away");
    await server.restart();

    await console.page.waitForSelector('#connection[title^="Resumed at #"]'); // the text itself is shown for some seconds
    await console.shows(".note", "Started again · attempt 2");
    await console.shows(".turn-end", "tokens");
    const [message] = await server.call("GET", `/sessions/${await console.sessionId()}/messages`);
    assert.equal(await console.answer(), message.answer, "every word once");
    const sequences = await console.page.$$eval(".row .seq", (cells) => cells.map((cell) => cell.textContent));
    assert.equal(new Set(sequences).size, sequences.length);
    assert.deepEqual(console.errors, []);
  } finally {
    await server.stop();
  }
});

test("after a restore of the sessions the page shows them as they are now, and nothing of before", async () => {
  const server = await Server.start({ MODEL: "fake-12-0" });
  try {
    const console = await ConsolePage.open(browser, server.url);
    await console.send("Kept");
    await console.shows(".turn-end", "tokens");
    await server.copySessions("backup");
    for (const text of ["Lost", "Lost as well"]) {
      await console.send(text);
      await console.shows(".turn:last-child .user", text);
      await console.shows(".turn:last-child .turn-end", "tokens");
    }

    await server.kill();
    await server.copySessions("restore");
    await server.restart();

    await console.page.waitForFunction(() => document.querySelectorAll(".turn").length === 1);
    await console.shows("#connection", "Live");
    await console.send("New");
    await console.shows(".turn:last-child .user", "New");
    await console.shows(".turn:last-child .turn-end", "tokens");
    assert.deepEqual(await console.page.$$eval(".user", (all) => all.map((each) => each.textContent)), ["You: Kept", "You: New"]);
    const sequences = await console.page.$$eval(".row .seq", (cells) => cells.map((cell) => Number.parseInt(cell.textContent, 10)));
    assert.deepEqual(sequences, [...new Set(sequences)].sort((one, other) => one - other));
    assert.deepEqual(console.errors, []);
  } finally {
    await server.stop();
  }
});

test("a message that can't be sent stays in the field, and the page says what to do", async () => {
  const server = await Server.start({ MODEL: "fake-12-0" });
  try {
    const console = await ConsolePage.open(browser, server.url);
    await console.shows(".card", "Watch");
    await server.kill();

    await console.send("Do not lose me");

    await console.shows(".notice", "start it again");
    assert.equal(await console.page.$eval("#content", (field) => field.value), "Do not lose me");
    await server.restart();
    await console.page.focus("#content");
    await console.page.keyboard.press("Enter");
    await console.shows(".turn-end", "tokens");
  } finally {
    await server.stop();
  }
});

test("where callers sign in, the page asks for a token and keeps it in the tab", async () => {
  const issuer = { JWT_ISSUER: "https://issuer", JWT_AUDIENCE: "turnlog", JWT_JWKS_URL: "http://127.0.0.1:9/keys" };
  const server = await Server.start({ AUTH_MODE: "jwt", ...issuer });
  try {
    const console = await ConsolePage.open(browser, server.url);
    await console.shows("#sign-in-reason", "401");
    await console.page.type("#token", "Bearer not-a-token");
    await console.click("#sign-in button", "Sign in");

    await console.shows("#sign-in-reason", "refused the token");
    assert.equal(await console.page.evaluate(() => sessionStorage.getItem("turnlog.token")), "not-a-token");
    assert.equal(await console.page.evaluate(() => localStorage.length), 0);
  } finally {
    await server.stop();
  }
});

test("after Cancel the page asks for a token again only when somebody does something", async () => {
  const issuer = { JWT_ISSUER: "https://issuer", JWT_AUDIENCE: "turnlog", JWT_JWKS_URL: "http://127.0.0.1:9/keys" };
  const server = await Server.start({ AUTH_MODE: "jwt", ...issuer });
  const begin = () => {
    const real = window.setInterval;
    window.ticks = 0;
    window.setInterval = (call) => real(() => [call(), (window.ticks += 1)], 10); // a long time passes quickly
  };
  try {
    const console = await ConsolePage.open(browser, server.url, { begin });
    const pass = async () => console.page.waitForFunction((end) => window.ticks > end, {}, 20 + (await console.page.evaluate(() => window.ticks)));
    await console.shows("#sign-in-reason", "401");
    await pass();
    const asked = console.sent("GET", "/sessions").length;
    await pass();
    assert.equal(console.sent("GET", "/sessions").length, asked, "the open dialog is enough");

    await console.click("#sign-in button", "Cancel");
    await pass();
    assert.equal(console.sent("GET", "/sessions").length, asked);
    assert.equal(await console.page.$("#sign-in[open]"), null);

    await console.page.type("#content", "Hello");
    await console.page.keyboard.press("Enter");
    await console.page.waitForSelector("#sign-in[open]");
  } finally {
    await server.stop();
  }
});
