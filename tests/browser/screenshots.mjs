/** Writes the pictures of the console in docs/images. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { ConsolePage, openBrowser } from "./browser.mjs";
import { Server } from "./server.mjs";

const FOLDER = join(import.meta.dirname, "../../docs/images");
const SIZE = { width: 1280, height: 800 };
const QUESTION = 'What is (17 + 4) * 2? call calculate {"expression": "(17 + 4) * 2"}';
const DRAW = 'Draw a winner: call draw_lots {"names": ["Ann", "Bo", "Cy"], "count": 1}';

const [browser, server] = await Promise.all([openBrowser(), Server.start()]);

const save = (console, name) => console.page.screenshot({ path: join(FOLDER, `${name}.png`), optimizeForSpeed: false });

async function conversation() {
  const console = await ConsolePage.open(browser, server.url, SIZE);
  await console.send(QUESTION, { model: "think-50-10" });
  await console.shows(".turn-end", "tokens");
  await console.send(DRAW, { agent: "raffle" });
  await console.shows(".decision button", "Approve");
  await console.shows(".sessions .current", "waits for you");
  await save(console, "console");
}

async function resumed() {
  const console = await ConsolePage.open(browser, server.url, SIZE);
  await console.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await console.send("Tell me a story about a lighthouse", { model: "fake-400-40" });
  await console.answer(400);
  await server.kill();
  await console.shows("#connection", "Server away");
  await server.restart();
  await console.shows(".note", "Started again");
  await console.shows("#connection", "Resumed at #");
  await console.answer(120);
  await save(console, "console-resumed");
}

try {
  await mkdir(FOLDER, { recursive: true });
  await conversation();
  await resumed();
} finally {
  await Promise.all([browser.close(), server.stop()]);
}
