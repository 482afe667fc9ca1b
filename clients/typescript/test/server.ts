/** Runs a real server on a free port, which tests kill and start again. */

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const ROOT = join(import.meta.dirname, "../../../..");
const PYTHON = process.env["PYTHON"] ?? join(ROOT, ".venv/bin/python");

export class Server {
  url = "";
  #port = 0;
  #process: ChildProcess | undefined;

  private constructor(
    private readonly dataDir: string,
    private readonly settings: Readonly<Record<string, string>>,
  ) {}

  static async start(settings: Readonly<Record<string, string>> = {}): Promise<Server> {
    const server = new Server(await mkdtemp(join(tmpdir(), "turnlog-")), settings);
    await server.restart();
    return server;
  }

  /** Starts the server, after a kill on the same data and port. */
  async restart(): Promise<void> {
    const command = ["-m", "turnlog.local.host", "--port", String(this.#port), "--data-dir", this.dataDir, "--grace", "1"];
    const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], LOG_LEVEL: "ERROR", ...this.settings };
    this.#process = spawn(PYTHON, command, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
    this.url = await listening(this.#process);
    this.#port = Number(new URL(this.url).port);
  }

  /** Kills the server like a crash, and waits until it is gone. */
  async kill(): Promise<void> {
    const { promise, resolve } = deferred();
    this.#process?.once("exit", resolve);
    this.#process?.kill("SIGKILL");
    await promise;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

export function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function listening(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error("the server has no output");
  for await (const line of createInterface(child.stdout)) {
    if (line.startsWith("listening on ")) {
      child.stdout.resume(); // nobody reads the rest
      return line.slice("listening on ".length).trim();
    }
  }
  throw new Error("the server ended before it listened");
}
