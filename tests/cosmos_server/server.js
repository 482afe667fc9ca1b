// A server that speaks Cosmos DB's wire protocol on 127.0.0.1; prints its port. Started by tests/contract/stores.py.
//
// --faults 0.3   that share of calls on documents is throttled, refused, timed out or cut off, before or after it was done
// --stale 1000   reads at Eventual may miss documents written in the last so many milliseconds
// --seed 1       the faults' sequence
// --throttle 60  so many writes to the container of rooms are throttled before the first one is done

const { parseArgs } = require("node:util");
// The routes keep what stands here when they are loaded.
require("@vercel/cosmosdb-server/lib/handler/read-documents").default = readChanges;
const Items = require("@vercel/cosmosdb-server/lib/account/items").default;
const { createHttpsServer } = require("@vercel/cosmosdb-server");

const { values: options } = parseArgs({
  options: {
    faults: { type: "string", default: "0" },
    stale: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    throttle: { type: "string", default: "0" },
  },
});
const random = mulberry32(Number(options.seed));
const MOST_BYTES = 2 * 1024 * 1024; // of a document; the npm server takes any
let throttled = Number(options.throttle);

// The SDKs name a batch's partition once, in a header; this server looks for it in every operation.
const json = require("@vercel/cosmosdb-server/lib/json");
const parse = json.default;
json.default = async (req) => {
  const body = await parse(req);
  if (!req.headers["x-ms-cosmos-is-batch-request"]) return body;
  const partitionKey = req.headers["x-ms-documentdb-partitionkey"];
  return body.map((operation) => ({ partitionKey, ...operation }));
};

// Every version of a document has its place in its container's change feed: the latest one there is.
const places = new WeakMap();
const set = Items.prototype._set;
Items.prototype._set = function (data) {
  this.place = (this.place || 0) + 1;
  places.set(data, this.place);
  return set.call(this, data);
};

const server = createHttpsServer({ keepAlive: true });
const [handle] = server.listeners("request");
server.removeAllListeners("request");
server.on("request", (req, res) => {
  const end = res.end.bind(res);
  let answer = end;
  if (req.method === "POST" && req.url.includes("/colls/rooms/docs") && throttled-- > 0) return refuse(end, res, 429);
  if (Number(req.headers["content-length"]) > MOST_BYTES) return refuse(end, res, 413);
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

// The npm server's feed tells everything once, and nothing ever after. This one tells the latest versions behind a place,
// in the order of their places, of one partition or of all; places are the etags, as the SDKs continue.
function readChanges(account, req, res, { dbId, collId }) {
  const headers = req.headers;
  const { documents } = account.database(dbId).collection(collId);
  const newest = documents.place || 0;
  // Of a range of keys the SDK asks only what comes from now on, which is nothing yet.
  if (headers["a-im"] !== "Incremental Feed" || (headers["x-ms-start-epk"] && headers["if-none-match"] !== "*")) {
    res.statusCode = 400;
    return { message: "only feeds of changes are served, of a container or of a partition key" };
  }
  delete headers["a-im"]; // the npm server would put its own etag in the place of this one
  const since = headers["if-none-match"] === "*" ? newest : Number((headers["if-none-match"] || "0").replace(/"/g, ""));
  const key = headers["x-ms-documentdb-partitionkey"] && JSON.parse(headers["x-ms-documentdb-partitionkey"])[0];
  const changes = [...documents._data.values()]
    .map((item) => ({ ...item.read(), _lsn: places.get(item.read()) }))
    .filter((data) => data._lsn > since && (key === undefined || documents._getPartition(data) === key))
    .sort((one, other) => one._lsn - other._lsn);
  const page = changes.slice(0, Number(headers["x-ms-max-item-count"]) || 100);
  res.setHeader("etag", `"${page.length < changes.length ? page[page.length - 1]._lsn : newest}"`);
  if (page.length === 0) res.statusCode = 304;
  return { Documents: page, _count: page.length };
}

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
