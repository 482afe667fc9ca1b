/** The console: puts the parts of the page together, and shows the session that the address names. */

import { ChatView } from "../view/chat.js";
import { byId, oncePerFrame, set } from "../view/dom.js";
import { LogView } from "../view/log.js";
import { forgetUsage, showUsage } from "../view/usage.js";
import { askForToken, isSignedIn, newClient, signOut } from "./access.js";
import { Composer } from "./composer.js";
import { ConnectionView } from "./connection.js";
import { listenToPage, openLog } from "./layout.js";
import { Keys } from "./keys.js";
import { announce, notifyError } from "./notices.js";
import { Scroller } from "./scroller.js";
import { idInLocation, labelOf, linkTo, SessionList } from "./sessions.js";
import { Watcher } from "./watcher.js";
import { showWelcome } from "./welcome.js";

const REFRESH_MS = 30_000; // besides, at each change of the open session's state
const NAME_LENGTH = 60;

let client = newClient();
let watcher = null;
let opening = null; // the session that is being created
let signingIn = null;
let isDeclined = false; // somebody closed the dialog for the token: only what a user does asks again

const log = new LogView();
const scroller = new Scroller();
const connection = new ConnectionView(() => watcher?.retryNow());
const sessions = new SessionList((filter) => attempt(() => client.listSessions(filter), { isQuiet: true }), deleteSession);
const composer = new Composer({
  onSend: send,
  onStop: () => watcher && attempt(() => watcher.session.cancel()),
  onWithdraw: (messageId) => watcher && attempt(() => watcher.session.withdraw(messageId)),
  onPick: () => refreshAgents(),
});
const chat = new ChatView(byId("turns"), {
  approve: (id, reason) => decide((session) => session.approve(id, reason || undefined)),
  deny: (id, reason) => decide((session) => session.deny(id, reason || undefined)),
  submitResult: (id, result) => decide((session) => session.submitResult(id, result)),
  sendAgain: (content, options) => {
    const keys = new Keys();
    return () => send(content, options, keys);
  },
  loadProject: () => attempt(() => client.getProject(watcher.conversation.projectId)),
});

/** Calls the service. Returns its answer; undefined after an error, which was shown. */
async function attempt(request, { isQuiet = false } = {}) {
  try {
    return await request();
  } catch (error) {
    if (error.status === 401) await (isQuiet && isDeclined ? undefined : signIn());
    else if (!isQuiet) notifyError(error);
    return undefined;
  }
}

const decide = async (request) => (await attempt(async () => [await request(watcher.session)])) !== undefined;

/** Asks for a token, once for any number of refusals, and begins again with it. */
function signIn() {
  signingIn ??= askForToken().then((hasToken) => {
    signingIn = null;
    isDeclined = !hasToken;
    if (isDeclined) return;
    client = newClient();
    void begin();
  });
  return signingIn;
}

/** Sends to the session that is open, or to a new one. Returns whether the message was stored. */
async function send(content, { name, ...options }, keys = new Keys()) {
  const message = await attempt(async () => {
    const session = watcher?.session ?? (await openOnce(content, { ...options, name }, keys));
    scroller.stick();
    return session.send(content, { ...options, idempotencyKey: keys.of(session.id, content, options) });
  });
  void sessions.refresh();
  return message !== undefined;
}

/** Creates a session, one for all messages that are sent before it is there. */
function openOnce(...message) {
  opening ??= openNew(...message).finally(() => {
    opening = null;
  });
  return opening;
}

async function openNew(content, { agent, name }, keys) {
  const text = name ?? (typeof content === "string" ? content : "New session");
  const fields = { session_name: text.slice(0, NAME_LENGTH), ...(agent ? { agent_name: agent } : {}) };
  const session = await client.createSession({ ...fields, idempotencyKey: keys.of(fields) });
  history.pushState(null, "", linkTo(session.id));
  show(session.id);
  return session;
}

async function deleteSession(id) {
  const isDeleted = (await attempt(async () => [await client.session(id).delete()])) !== undefined;
  if (isDeleted && id === idInLocation()) location.hash = "";
  await sessions.refresh();
}

/** Shows a session, or the first screen if there is no id. */
function show(id) {
  watcher?.close();
  watcher = null;
  chat.clear();
  composer.clear();
  connection.hide();
  forgetUsage();
  sessions.current = id;
  sessions.draw();
  byId("welcome").hidden = id !== null;
  set(byId("state"), "hidden", true);
  setTitle(id ?? "New session");
  if (id === null) {
    composer.choose(null);
    log.follow([]);
    showUsage([]);
  } else {
    watcher = new Watcher(client.session(id), { onChange: draw, onConnection, onRefused });
    log.follow(watcher.events);
  }
  scroller.stick();
  composer.focus();
}

function onConnection(each) {
  connection.show(each);
  if (each.state === "ended" && each.reason === "deleted") composer.disable();
}

function onRefused(error) {
  connection.hide();
  if (error.status === 401) void signIn();
  else notifyError(error);
}

let lastState = "";
let shownAgent = null; // the agent of the session, once it is known: somebody may choose another one after that

const draw = oncePerFrame(() => {
  if (!watcher) return;
  const { conversation, events } = watcher;
  if (log.events !== events) showAnew(events);
  if (shownAgent !== conversation.agentName) composer.choose((shownAgent = conversation.agentName));
  chat.show(conversation);
  composer.show(conversation);
  log.show();
  if (log.isOpen) showUsage(conversation.usage);
  setTitle(conversation.sessionName || watcher.session.id);
  showState(conversation);
  scroller.follow();
});

/** The log was read again from its begin: nothing of what is shown may belong to it. */
function showAnew(events) {
  log.follow(events);
  chat.clear();
  forgetUsage();
}

function showState(conversation) {
  const { state } = conversation;
  set(byId("state"), "hidden", state === "idle");
  set(byId("state"), "className", `badge ${state}`);
  set(byId("state"), "textContent", labelOf(state));
  if (state === lastState) return;
  if (state === "idle" && lastState) announce(conversation.turns.at(-1)?.answer || "The turn has ended.");
  if (state === "requires_action") announce("A tool call waits for your decision.");
  if (lastState) void sessions.refresh();
  lastState = state;
}

function setTitle(text) {
  set(byId("title"), "textContent", text);
  set(document, "title", text === "New session" ? "Turnlog" : `${text} · Turnlog`);
}

/** Loads what the page shows besides a session. */
async function begin() {
  byId("sign-out").hidden = !isSignedIn();
  const agents = await attempt(() => client.listAgents());
  if (!agents) return;
  showAgents(agents);
  route();
  await sessions.refresh();
}

let shownAgents = ""; // as JSON

function showAgents(agents) {
  const list = JSON.stringify([agents.agents, agents.default]);
  if (list === shownAgents) return; // an open picker stays open
  shownAgents = list;
  composer.showAgents(agents);
  showWelcome(agents, (example) => {
    composer.choose(example.agent);
    return composer.send(example.content, example);
  });
}

/** Shows agents that were added since. They may be new whenever somebody comes back to the page or opens the picker. */
async function refreshAgents() {
  if (document.hidden || signingIn || isDeclined) return;
  const agents = await attempt(() => client.listAgents(), { isQuiet: true });
  if (agents) showAgents(agents);
}

function route() {
  lastState = "";
  shownAgent = null;
  show(idInLocation());
}

listenToPage({
  onNew: () => (location.hash = ""),
  onStop: () => watcher?.conversation.activeTurn && composer.onStop(),
  onLog: () => {
    log.show();
    showUsage(watcher?.conversation.usage ?? []);
  },
  log,
});
byId("sign-out").addEventListener("click", () => {
  signOut();
  location.assign("/console");
});
addEventListener("hashchange", route);
const refresh = () => document.hidden || signingIn || isDeclined || sessions.refresh();
setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", refresh);
addEventListener("focus", refreshAgents);
if (matchMedia("(min-width: 1180px)").matches) openLog(log);
void begin();
