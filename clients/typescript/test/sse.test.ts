import assert from "node:assert/strict";
import { test } from "node:test";

import { SseParser, type Frame } from "../src/index.js";

function parse(...pieces: Uint8Array[]): { frames: Frame[]; retries: number[] } {
  const frames: Frame[] = [];
  const retries: number[] = [];
  const parser = new SseParser({ onFrame: (frame) => frames.push(frame), onRetry: (pause) => retries.push(pause) });
  for (const piece of pieces) parser.push(piece);
  return { frames, retries };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const STREAM = "\uFEFF: open\n\nid: 1\nevent: message.delta\ndata: „Grüße“ 🎈\n\nretry: 500\r\nid:2\r\ndata:a\r\ndata: b\r\n\r\rdata\r\r";
const FRAMES = [
  { event: "message.delta", data: "„Grüße“ 🎈", id: "1" },
  { event: "message", data: "a\nb", id: "2" },
  { event: "message", data: "", id: "2" },
];

test("a stream gives the same frames wherever its bytes are split", () => {
  const all = bytes(STREAM);
  for (let split = 0; split <= all.length; split += 1) {
    assert.deepEqual(parse(all.slice(0, split), all.slice(split)).frames, FRAMES, `split at ${split}`);
  }
});

test("a stream that comes byte by byte gives the same frames", () => {
  const { frames, retries } = parse(...Array.from(bytes(STREAM), (byte) => Uint8Array.of(byte)));

  assert.deepEqual(frames, FRAMES);
  assert.deepEqual(retries, [500]);
});

test("a frame that was not finished is not reported", () => {
  assert.deepEqual(parse(bytes("data: whole\n\ndata: half\n")).frames.map((frame) => frame.data), ["whole"]);
});

test("comments, unknown fields, ids with a null and waits that are no number are ignored", () => {
  const { frames, retries } = parse(bytes("id: 7\nid: 8\0\n: comment\nother: x\nretry: soon\ndata: y\n\n"));

  assert.deepEqual(frames, [{ event: "message", data: "y", id: "7" }]);
  assert.deepEqual(retries, []);
});
