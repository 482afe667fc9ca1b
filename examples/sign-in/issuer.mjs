/** An issuer of tokens for trying out sign-in, and a server of this folder. It signs in everybody: never deploy it. */

import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join, normalize } from "node:path";

const TYPES = { html: "text/html", js: "text/javascript", json: "application/json" };
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const key = { ...publicKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "ES256" };

/** A token for `name` that is valid for two minutes. */
function tokenFor(name, issuer) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: issuer, aud: "turnlog", sub: name, iat: now, exp: now + 120, scp: "sessions.read sessions.write" };
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${encode({ alg: "ES256", typ: "JWT", kid: key.kid })}.${encode(claims)}`;
  return `${text}.${sign("sha256", Buffer.from(text), { key: privateKey, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

const server = createServer(async (request, response) => {
  const issuer = `http://${request.headers.host}`;
  const { pathname, searchParams } = new URL(request.url, issuer);
  const answer = (type, body) => response.writeHead(200, { "content-type": TYPES[type] }).end(body);
  if (pathname === "/keys") return answer("json", JSON.stringify({ keys: [key] }));
  if (pathname === "/token") return answer("json", JSON.stringify({ token: tokenFor(searchParams.get("name"), issuer) }));
  const path = normalize(pathname === "/" ? "/index.html" : pathname);
  try {
    answer(path.split(".").at(-1), await readFile(join(import.meta.dirname, path)));
  } catch {
    response.writeHead(404).end();
  }
});

server.listen(Number(process.env.PORT ?? 8000), "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  console.log(`AUTH_MODE=jwt JWT_ISSUER=${url} JWT_AUDIENCE=turnlog JWT_JWKS_URL=${url}/keys CORS_ORIGINS=${url} make run`);
});
