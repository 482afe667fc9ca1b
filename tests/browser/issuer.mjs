/** A local issuer of bearer tokens: it signs tokens, and publishes its key. */

import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

const AUDIENCE = "api://turnlog";
const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

export class Issuer {
  #keys = generateKeyPairSync("ec", { namedCurve: "P-256" });

  static async start() {
    const self = new Issuer();
    const jwk = { ...self.#keys.publicKey.export({ format: "jwk" }), kid: "one", use: "sig", alg: "ES256" };
    self.server = createServer((_, answer) => answer.end(JSON.stringify({ keys: [jwk] })));
    self.server.listen(0, "127.0.0.1");
    await once(self.server, "listening");
    self.url = `http://127.0.0.1:${self.server.address().port}`;
    return self;
  }

  /** The settings of a service that trusts this issuer. */
  get settings() {
    return { AUTH_MODE: "jwt", JWT_ISSUER: this.url, JWT_AUDIENCE: AUDIENCE, JWT_JWKS_URL: `${this.url}/keys` };
  }

  token(subject, seconds) {
    const exp = Math.floor(Date.now() / 1000) + seconds;
    const claims = { iss: this.url, aud: AUDIENCE, sub: subject, exp, scp: "sessions.read sessions.write" };
    const signed = `${part({ alg: "ES256", kid: "one", typ: "at+jwt" })}.${part(claims)}`;
    const signature = sign("sha256", Buffer.from(signed), { key: this.#keys.privateKey, dsaEncoding: "ieee-p1363" });
    return `${signed}.${signature.toString("base64url")}`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
