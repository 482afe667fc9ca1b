import { DefaultChatTransport } from "ai";

/** The transport of a chat whose id is the session's id. `fields` are added to each message, as `agent` or `model`. */
export function turnlogTransport(url, fields = {}, headers = {}) {
  return new DefaultChatTransport({
    headers,
    prepareSendMessagesRequest: ({ id, messages, headers }) => ({
      api: `${url}/sessions/${id}/messages?format=ai-sdk`,
      headers,
      body: { content: messages.at(-1).parts.map((part) => part.text ?? "").join(""), ...fields },
    }),
    prepareReconnectToStreamRequest: ({ id, headers }) => ({
      api: `${url}/sessions/${id}/stream?format=ai-sdk`,
      headers,
    }),
  });
}

/** The parts of a message to show: those of the newest attempt at each step. */
export function currentParts(message) {
  const placeOf = (part) => part.providerMetadata?.turnlog ?? {};
  const newest = {};
  for (const { step, attempt } of message.parts.map(placeOf)) {
    if (step) newest[step] = Math.max(newest[step] ?? 0, attempt);
  }
  return message.parts.filter((part) => {
    const { step, attempt } = placeOf(part);
    return !step || attempt === newest[step];
  });
}
