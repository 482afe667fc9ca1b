/** The first screen: what this is, and three messages to try. */

import { byId, h } from "../view/dom.js";

/**
 * `scripted` is what the scripted model needs in place of a real one.
 * @typedef {{ title: string, about: string, content: string, agent?: string, scripted: { model?: string, content?: string } }} Example
 */

/** @type {Example[]} */
const EXAMPLES = [
  {
    title: "Watch an answer",
    about: "Text, written live.",
    content: "Tell me a story about a lighthouse",
    scripted: { model: "fake-400-50" },
  },
  {
    title: "See a tool at work",
    about: "Reasoning, a call with its arguments, the result.",
    content: "What is (17 + 4) * 2? Use your calculator.",
    scripted: { model: "think-60-30", content: 'What is (17 + 4) * 2? call calculate {"expression": "(17 + 4) * 2"}' },
  },
  {
    title: "Decide yourself",
    about: "A tool that waits for your approval.",
    content: "Draw one winner from Ann, Bo and Cy.",
    agent: "raffle",
    scripted: { content: 'Draw one winner: call draw_lots {"names": ["Ann", "Bo", "Cy"], "count": 1}' },
  },
];

/** Shows the examples that `agents` can do; `onChoose` gets the one that was chosen, and resolves when it was sent. */
export function showWelcome({ agents, default: first }, onChoose) {
  const isScripted = /^(fake|think)-/.test(agents.find(({ name }) => name === first)?.model ?? "");
  const examples = EXAMPLES.filter(({ agent }) => !agent || agents.some(({ name }) => name === agent));
  byId("welcome").replaceChildren(
    h("h2", {}, "Durable agent sessions"),
    h("p", {}, "Send a message, and watch the answer as it is written. Try one of these:"),
    h("div", { class: "cards" }, ...examples.map((example) => card(example, isScripted, onChoose))),
    h(
      "p",
      { class: "dim" },
      "While an answer is written, kill the server with ",
      h("code", {}, "kill -9"),
      " and start it again: this page connects by itself, and the answer continues. Nothing is lost, nothing is shown twice.",
    ),
  );
}

/** @param {Example} example */
function card({ title, about, content, agent, scripted }, isScripted, onChoose) {
  const sent = { content, agent, name: content, ...(isScripted ? scripted : {}) };
  const choose = async ({ currentTarget: button }) => {
    button.disabled = true; // a double click is one message
    await onChoose(sent);
    button.disabled = false;
  };
  return h("button", { type: "button", class: "card", onclick: choose }, h("b", {}, title), h("span", { class: "dim" }, about), h("q", {}, content));
}
