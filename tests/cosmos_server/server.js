// A server that speaks Cosmos DB's wire protocol on 127.0.0.1; prints its port. Started by tests/contract/stores.py.
//
// --faults 0.3   that share of calls on documents is throttled, refused, timed out or cut off, before or after it was done
// --stale 1000   reads at Eventual may miss documents written in the last so many milliseconds
// --seed 1       the faults' sequence

const { parseArgs } = require("node:util");
const { createHttpsServer } = require("@vercel/cosmosdb-server");

const { values: options } = parseArgs({
  options: {
    faults: { type: "string", default: "0" },
    stale: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
  },
});
const random = mulberry32(Number(options.seed));

// The SDKs name a batch's partition once, in a header; this server looks for it in every operation.
const json = require("@vercel/cosmosdb-server/lib/json");
const parse = json.default;
json.default = async (req) => {
  const body = await parse(req);
  if (!req.headers["x-ms-cosmos-is-batch-request"]) return body;
  const partitionKey = req.headers["x-ms-documentdb-partitionkey"];
  return body.map((operation) => ({ partitionKey, ...operation }));
};

const server = createHttpsServer({ keepAlive: true });
const [handle] = server.listeners("request");
server.removeAllListeners("request");
server.on("request", (req, res) => {
  const end = res.end.bind(res);
  let answer = end;
  if (req.url.includes("/docs") && random() < Number(options.faults)) {
    const fault = Math.floor(random() * 6);
    if (fault === 0) return refuse(end, res, 429);
    if (fault === 1) return refuse(end, res, 503);
    if (fault === 2) return req.socket.destroy();
    if (fault === 3) answer = () => req.socket.destroy();
    if (fault === 4) answer = () => refuse(end, res, 408);
    if (fault === 5) answer = (body) => breakOff(req, res, body);
  }
  res.end = (body) => {
    if (isMissing(req, res, body) || isStale(req, body)) return refuse(answer, res, 404);
    return answer(body);
  };
  handle(req, res);
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

function refuse(end, res, status) {
  res.statusCode = status;
  if (status === 429) res.setHeader("x-ms-retry-after-ms", "5");
  return end(JSON.stringify({ code: String(status), message: "refused" }));
}

function breakOff(req, res, body) {
  res.setHeader("content-length", Buffer.byteLength(body || "") + 1);
  res.write(body || "", () => req.socket.destroy());
}

// The npm server answers 500 where Cosmos DB answers 404: a point read of a document that isn't there.
function isMissing(req, res, body) {
  return req.method === "GET" && res.statusCode === 500 && body.includes("Cannot read properties of undefined");
}

function isStale(req, body) {
  if (Number(options.stale) === 0 || req.method !== "GET" || req.headers["x-ms-consistency-level"] !== "Eventual") {
    return false;
  }
  const written = body && JSON.parse(body)._ts;
  return written !== undefined && Date.now() - written * 1000 < Number(options.stale) && random() < 0.5;
}

function mulberry32(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
