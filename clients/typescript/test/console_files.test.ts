import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { ROOT } from "./server.js";

async function filesIn(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name), "utf8")])));
}

test("the console's copy of this client is what the compiler writes (npm run console)", async () => {
  const folder = await mkdtemp(join(tmpdir(), "turnlog-"));
  try {
    const client = join(ROOT, "clients/typescript");
    const command = ["--project", "tsconfig.console.json", "--outDir", folder];
    await promisify(execFile)(join(client, "node_modules/.bin/tsc"), command, { cwd: client });

    assert.deepEqual(await filesIn(join(ROOT, "turnlog/api/console/client")), await filesIn(folder));
  } finally {
    await rm(folder, { recursive: true });
  }
});
