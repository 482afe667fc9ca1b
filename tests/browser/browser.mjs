/** Starts Chromium: the one that CHROMIUM names, or the one that a package brings. */

import chromium from "@sparticuz/chromium";
import puppeteer from "puppeteer-core";

const WAIT_MS = 60_000; // a wait for a state fails after this time; it is not a measure of anything

export async function openBrowser() {
  chromium.setGraphicsMode = false;
  const executablePath = process.env.CHROMIUM || (await chromium.executablePath());
  const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--font-render-hinting=none"];
  try {
    return await puppeteer.launch({ executablePath, args, headless: "shell", protocolTimeout: 120_000 });
  } catch (cause) {
    throw new Error(`${executablePath} does not run here: set CHROMIUM to the path of a Chromium`, { cause });
  }
}

/** A page of the console, with the words in which tests speak of it. */
export class ConsolePage {
  errors = [];
  requests = [];

  /** Opens the page; `begin` runs in it before its own scripts. */
  static async open(browser, url, { width = 1320, height = 820, begin, ...viewport } = {}) {
    const self = new ConsolePage();
    const context = await browser.createBrowserContext(); // nothing is shared with other tests
    self.page = await context.newPage();
    await self.page.setViewport({ width, height, ...viewport });
    self.page.setDefaultTimeout(WAIT_MS);
    self.page.on("pageerror", (error) => self.errors.push(error.message));
    self.page.on("console", (message) => {
      const isOfNetwork = /Failed to load resource/.test(message.text());
      if (message.type() === "error" && !isOfNetwork) self.errors.push(message.text());
    });
    self.page.on("request", (request) => self.requests.push(request));
    if (begin) await self.page.evaluateOnNewDocument(begin);
    await self.page.goto(url);
    return self;
  }

  close() {
    return this.page.browserContext().close();
  }

  /** Waits until an element that `selector` finds has text that contains `text`. */
  shows(selector, text) {
    const matches = (css, part) => [...document.querySelectorAll(css)].some((each) => each.checkVisibility({ visibilityProperty: true }) && each.textContent.includes(part));
    return this.page.waitForFunction(matches, {}, selector, text);
  }

  /** Waits until no element is found. */
  hides(selector) {
    return this.page.waitForFunction((css) => ![...document.querySelectorAll(css)].some((each) => each.checkVisibility({ visibilityProperty: true })), {}, selector);
  }

  async text(selector) {
    return this.page.$eval(selector, (element) => element.textContent);
  }

  /** Clicks the element with this text. */
  async click(selector, text = "") {
    await this.shows(selector, text);
    await this.page.evaluate((css, part) => [...document.querySelectorAll(css)].find((each) => each.checkVisibility() && each.textContent.includes(part)).click(), selector, text);
  }

  /** Chooses the agent and the model, and sends a message with the keyboard. */
  async send(content, { model = "", agent = "assistant" } = {}) {
    await this.page.waitForSelector(`#agent option[value="${agent}"]`);
    await this.page.select("#agent", agent);
    await this.page.$eval("#model", (field, value) => (field.value = value), model);
    await this.page.type("#content", content);
    await this.page.keyboard.press("Enter");
  }

  /** Waits until the answer has at least so many characters, and returns it. */
  async answer(characters = 1) {
    const read = (min) => {
      const text = [...document.querySelectorAll(".turn:last-child .text")].at(-1)?.textContent ?? "";
      return text.length >= min && text;
    };
    return (await this.page.waitForFunction(read, {}, characters)).jsonValue();
  }

  /** The bodies of the requests with this method whose path ends with `path`. */
  sent(method, path) {
    const matches = (each) => each.method() === method && new URL(each.url()).pathname.endsWith(path);
    return this.requests.filter(matches).map((each) => JSON.parse(each.postData() ?? "null"));
  }

  /** Calls `use` in the page with what a script of the console exports, and with `argument`. */
  async inScript(path, use, argument) {
    const source = `(async () => {
      const folder = document.querySelector('link[href*="/view/"]').href.replace(/view\\/[^/]+$/, "");
      return (${use})(await import(folder + ${JSON.stringify(path)}), ${JSON.stringify(argument ?? null)});
    })()`;
    return this.page.evaluate(source);
  }

  sessionId() {
    return this.page.evaluate(() => decodeURIComponent(location.hash.replace("#/sessions/", "")));
  }
}
