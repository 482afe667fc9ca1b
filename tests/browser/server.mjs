/** Runs a real server on a free port, which tests kill and start again. */

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
const PYTHON = process.env.PYTHON ?? join(ROOT, ".venv/bin/python");

export class Server {
  #port = 0;

  static async start(settings = {}) {
    const server = new Server();
    server.dataDir = await mkdtemp(join(tmpdir(), "turnlog-"));
    server.settings = settings;
    await server.restart();
    return server;
  }

  /** Starts the server, after a kill on the same data and port. */
  async restart() {
    const command = ["-m", "turnlog.local.host", "--port", String(this.#port), "--data-dir", this.dataDir, "--grace", "1"];
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: "ERROR", ...this.settings };
    this.process = spawn(PYTHON, command, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
    for await (const line of createInterface(this.process.stdout)) {
      if (!line.startsWith("listening on ")) continue;
      this.url = line.slice("listening on ".length).trim();
      this.#port = Number(new URL(this.url).port);
      this.process.stdout.resume();
      return;
    }
    throw new Error("the server ended before it listened");
  }

  /** Kills the server like a crash. */
  async kill() {
    const ended = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await ended;
  }

  /** `backup` copies the sessions of the running server to a file, `restore` replaces those of one that was killed. */
  async copySessions(command) {
    const env = { PATH: process.env.PATH, DATA_DIR: this.dataDir };
    await promisify(execFile)(PYTHON, ["-m", "turnlog.local.backups", command, join(this.dataDir, "copy.db")], { cwd: ROOT, env });
  }

  async stop() {
    await this.kill();
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Calls the API. Returns the JSON of the answer. */
  async call(method, path, body) {
    const headers = { "content-type": "application/json", prefer: "respond-async" };
    const response = await fetch(this.url + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.status === 204 ? undefined : response.json();
  }
}
