/** The tokens of the session's model calls, as a small plot. */

import { byId, number, svg } from "./dom.js";

const SHOWN = 40;
const HEIGHT = 44;

let drawn = -1;

/** Draws the newest calls, if there are others than the last time: input below, output above. */
export function showUsage(samples) {
  if (drawn === samples.length) return;
  drawn = samples.length;
  const sum = (name) => samples.reduce((total, sample) => total + sample[name], 0);
  byId("usage-text").textContent =
    samples.length === 0
      ? "No model call yet"
      : `${number(sum("input"))} tokens in · ${number(sum("output"))} out · ${number(samples.length)} model call${samples.length === 1 ? "" : "s"}`;
  byId("usage-plot").replaceChildren(...(samples.length === 0 ? [] : [plot(samples.slice(-SHOWN))]));
}

export function forgetUsage() {
  drawn = -1;
}

function plot(samples) {
  const max = Math.max(...samples.map(({ input, output }) => input + output), 1);
  const bars = samples.map(({ model, input, output, sequence }, index) => {
    const inputHeight = (input / max) * HEIGHT;
    const outputHeight = Math.max((output / max) * HEIGHT, 1);
    const x = index * 8;
    return svg(
      "g",
      {},
      svg("title", {}, `#${sequence} ${model}: ${number(input)} in, ${number(output)} out`),
      svg("rect", { class: "in", x, width: 6, y: HEIGHT - inputHeight, height: inputHeight, rx: 1 }),
      svg("rect", { class: "out", x, width: 6, y: HEIGHT - inputHeight - outputHeight, height: outputHeight, rx: 1 }),
    );
  });
  const box = `0 0 ${SHOWN * 8} ${HEIGHT}`;
  return svg("svg", { viewBox: box, role: "img", "aria-label": "Tokens of each model call", preserveAspectRatio: "xMinYMax meet" }, ...bars);
}
