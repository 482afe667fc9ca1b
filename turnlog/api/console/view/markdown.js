/** Shows a model's text: paragraphs, headings, lists, code. Blocks that did not change keep their elements. */

import { h, place } from "./dom.js";

/** Shows `text` in `parent`. While it grows, only its last block is drawn again. */
export function showText(parent, text) {
  const blocks = splitBlocks(text);
  const known = (parent.shownBlocks ??= []);
  const elements = blocks.map((block, index) => {
    if (known[index]?.source !== block) known[index] = { source: block, element: blockElement(block) };
    return known[index].element;
  });
  known.length = blocks.length;
  place(parent, elements);
}

function splitBlocks(text) {
  const blocks = [];
  let lines = [];
  let isCode = false;
  const finish = () => {
    if (lines.length > 0) blocks.push(lines.join("\n"));
    lines = [];
  };
  for (const line of text.split("\n")) {
    const isFence = /^\s*```/.test(line);
    if (isFence && !isCode) finish();
    if (!isFence && !isCode && line.trim() === "") finish();
    else lines.push(line);
    if (isFence && isCode) finish();
    if (isFence) isCode = !isCode;
  }
  finish();
  return blocks;
}

function blockElement(block) {
  if (/^\s*```/.test(block)) {
    const [, ...code] = block.split("\n");
    if (code.length > 0 && /^\s*```/.test(code.at(-1))) code.pop();
    return h("pre", { class: "code", tabIndex: 0 }, h("code", {}, code.join("\n")));
  }
  const heading = /^(#{1,6})\s+(.*)$/.exec(block);
  if (heading) return h("h4", {}, ...inline(heading[2]));
  const lines = block.split("\n");
  if (lines.every((line) => /^\s*([-*+]|\d+[.)])\s+/.test(line))) {
    const items = lines.map((line) => h("li", {}, ...inline(line.replace(/^\s*([-*+]|\d+[.)])\s+/, ""))));
    return h(/^\s*\d/.test(block) ? "ol" : "ul", {}, ...items);
  }
  if (lines.every((line) => line.startsWith(">")))
    return h("blockquote", {}, ...inline(lines.map((line) => line.replace(/^>\s?/, "")).join("\n")));
  return h("p", {}, ...inline(block));
}

// The label has a limit: without one, a long line of brackets takes quadratic time.
const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|\[([^\]\n]{1,300})\]\((https?:\/\/[^\s)]+)\)/g;

function inline(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    parts.push(text.slice(end, match.index));
    end = match.index + match[0].length;
    const [, code, strong, emphasis, label, url] = match;
    if (code) parts.push(h("code", {}, code));
    else if (strong) parts.push(h("strong", {}, strong));
    else if (emphasis) parts.push(h("em", {}, emphasis));
    else parts.push(h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, label));
  }
  return [...parts, text.slice(end)].filter(Boolean);
}
