// A server that speaks Cosmos DB's wire protocol on 127.0.0.1; prints its port. Started by tests/contract/stores.py.
//
// --faults 0.3   that share of calls on documents is throttled, refused, timed out or cut off, before or after it was done
// --stale 1000   reads at Eventual may miss documents written in the last so many milliseconds
// --seed 1       the faults' sequence
// --full owner:x entries of rooms whose key contains this are refused, as in a partition that holds 20 GB (403, 1014)
// --throttle 60  so many writes to the container of rooms are throttled before the first one is done

const { parseArgs } = require("node:util");
// The routes keep what stands here when they are loaded.
require("@vercel/cosmosdb-server/lib/handler/read-documents").default = readChanges;
require("@vercel/cosmosdb-server/lib/handler/batch-documents").default = writeBatch;
const operations = require("@vercel/cosmosdb-server/lib/handler/_document-operations");
const readJson = require("@vercel/cosmosdb-server/lib/json").default;
const Items = require("@vercel/cosmosdb-server/lib/account/items").default;
const { createHttpsServer } = require("@vercel/cosmosdb-server");

const { values: options } = parseArgs({
  options: {
    faults: { type: "string", default: "0" },
    stale: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    throttle: { type: "string", default: "0" },
    full: { type: "string", default: "" },
  },
});
const random = mulberry32(Number(options.seed));
const MAX_BYTES = 2 * 1024 * 1024; // of a request; the npm server takes any
const MAX_OPERATIONS = 100; // of a batch; likewise
const MULTI_STATUS = 207;
const FAILED_DEPENDENCY = 424;
let throttled = Number(options.throttle);

// Every version of a document has its place in its container's change feed: the latest one there is. A batch is one
// transaction, so all of its documents have one place.
const places = new WeakMap();
const set = Items.prototype._set;
Items.prototype._set = function (data) {
  if (!this.isInBatch) this.place = (this.place || 0) + 1;
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
  if (options.full && req.method === "POST" && req.url.includes("/colls/rooms/docs") && writesTo(req, options.full)) {
    res.setHeader("x-ms-substatus", "1014");
    return refuse(end, res, 403);
  }
  if (Number(req.headers["content-length"]) > MAX_BYTES) return refuse(end, res, 413);
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

// The npm server's feed returns everything once, and then nothing more. This one returns the newest versions after an etag,
// in the order of their etags, of one partition or of all: with etags the SDKs continue.
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
    // Readers may not rely on an order within a batch, so it is not the order of the operations.
    .sort((one, other) => one._lsn - other._lsn || (one.id < other.id ? 1 : -1));
  let size = Math.min(changes.length, Number(headers["x-ms-max-item-count"]) || 100);
  // The number of documents is a hint: no page ends within a batch.
  while (size < changes.length && changes[size]._lsn === changes[size - 1]._lsn) size += 1;
  const page = changes.slice(0, size);
  res.setHeader("etag", `"${size < changes.length ? page[size - 1]._lsn : newest}"`);
  if (page.length === 0) res.statusCode = 304;
  return { Documents: page, _count: page.length };
}

// The npm server keeps what a failed batch did before it failed. Here a batch does everything or nothing.
async function writeBatch(account, req, res, { dbId, collId }) {
  const partitionKey = req.headers["x-ms-documentdb-partitionkey"]; // the npm server looks for it in each operation
  const batch = (await readJson(req)).map((operation) => ({ partitionKey, ...operation }));
  const collection = account.database(dbId).collection(collId);
  res.statusCode = !collection.read() ? 404 : batch.length > MAX_OPERATIONS ? 400 : 200;
  if (res.statusCode !== 200) return { message: `a batch of ${batch.length} operations in ${collId}` };
  // Nothing is awaited from here on, so no other request writes in between.
  const { documents } = collection;
  const { place } = documents;
  const before = { place, _data: new Map(documents._data), _index: new Map(documents._index) };
  Object.assign(documents, { place: (place || 0) + 1, isInBatch: true });
  const results = [];
  try {
    for (const operation of batch) {
      results.push(operations[`${operation.operationType.toLowerCase()}Operation`](collection, operation));
      if (results.at(-1).statusCode >= 400) break;
    }
  } finally {
    documents.isInBatch = false;
    if (results.length < batch.length || results.at(-1).statusCode >= 400) Object.assign(documents, before);
  }
  return answerBatch(res, batch, results);
}

function answerBatch(res, batch, results) {
  const failed = results.findIndex(({ statusCode }) => statusCode >= 400);
  if (failed < 0) {
    return results.map(({ statusCode, body }) => ({ statusCode, requestCharge: 1, eTag: body?._etag, resourceBody: body }));
  }
  res.statusCode = MULTI_STATUS;
  const status = (index) => (index === failed ? results[failed].statusCode : FAILED_DEPENDENCY);
  return batch.map((_, index) => ({ statusCode: status(index), requestCharge: 0 }));
}

// Whether a request writes to a partition whose key contains `text`. A query is a POST too, and a change feed a GET.
function writesTo(req, text) {
  const isQuery = req.headers["x-ms-documentdb-isquery"] || req.headers["content-type"] === "application/query+json";
  return !isQuery && decodeURIComponent(req.headers["x-ms-documentdb-partitionkey"] || "").includes(text);
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
