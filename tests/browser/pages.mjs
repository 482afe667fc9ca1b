/** Serves pages of one's own, with the client, on another port than the service: each is another origin. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { join } from "node:path";

const CLIENT = join(import.meta.dirname, "../../turnlog/api/console/client");

/** `pages` has the HTML of each path. `/client/` is the client; all other requests go to `service`, which `openStreams` counts. */
export class Pages {
  openStreams = 0;
  streams = 0;

  static async start(service, pages) {
    const self = new Pages();
    self.pages = pages;
    self.service = service;
    self.server = createServer((incoming, answer) => void self.#answer(incoming, answer));
    self.server.listen(0, "127.0.0.1");
    await once(self.server, "listening");
    self.url = `http://127.0.0.1:${self.server.address().port}`;
    return self;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #answer(incoming, answer) {
    const { pathname } = new URL(incoming.url, this.url);
    const page = this.pages[pathname];
    if (page !== undefined) {
      answer.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page);
    } else if (pathname === "/favicon.ico") {
      answer.writeHead(204).end();
    } else if (pathname.startsWith("/client/")) {
      const script = await readFile(join(CLIENT, pathname.slice("/client/".length).replaceAll("/", "")));
      answer.writeHead(200, { "content-type": "text/javascript" }).end(script);
    } else this.#forward(incoming, answer, pathname.endsWith("/stream"));
  }

  #forward(incoming, answer, isStream) {
    const { method, headers, url } = incoming;
    const outgoing = request(new URL(url, this.service), { method, headers: { ...headers, host: new URL(this.service).host } });
    if (isStream) {
      this.openStreams += 1;
      this.streams += 1;
      answer.once("close", () => (this.openStreams -= 1));
    }
    outgoing.once("response", (response) => {
      answer.writeHead(response.statusCode, response.headers);
      answer.flushHeaders();
      response.pipe(answer);
      response.once("error", () => answer.destroy());
    });
    outgoing.once("error", () => answer.destroy());
    answer.once("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }
}
