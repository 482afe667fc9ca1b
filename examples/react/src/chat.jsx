import { useEffect, useState } from "react";

import { useChat } from "@ai-sdk/react";

import { currentParts, turnlogTransport } from "./ai-sdk.mjs";
import { agent, call, loadMessages, server } from "./session.js";

const transport = turnlogTransport(server, { agent });

export function Chat({ session, initialMessages }) {
  const [draft, setDraft] = useState("");
  const chat = useChat({ id: session, messages: initialMessages, transport, resume: true });
  useResuming(session, chat);

  function send(event) {
    event.preventDefault();
    chat.sendMessage({ text: draft });
    setDraft("");
  }

  const decide = (part, decision) => call("POST", `/sessions/${session}/tool_calls/${part.toolCallId}/approval`, { decision });
  return (
    <>
      {chat.messages.map((message) => (
        <div key={message.id} className={message.role}>
          {currentParts(message).map((part, index) => (
            <Part key={index} part={part} decide={decide} />
          ))}
        </div>
      ))}
      <p className="note" role="status">{isBroken(chat.error) ? "connecting again" : (chat.error?.message ?? chat.status)}</p>
      <form onSubmit={send}>
        <input value={draft} onChange={(event) => setDraft(event.target.value)} placeholder="Message" required autoFocus />
        <button>Send</button>
        {/* The chat's own stop() only stops reading. */}
        <button type="button" onClick={() => call("POST", `/sessions/${session}/cancel`, {})}>Stop</button>
      </form>
    </>
  );
}

/** Continues when the connection broke: with the turn, which the server finishes anyway, or with what it has become. */
function useResuming(session, { error, resumeStream, setMessages, clearError }) {
  useEffect(() => {
    if (!isBroken(error)) return;
    const resume = async () => {
      try {
        const { state } = await call("GET", `/sessions/${session}`);
        if (state !== "idle") return resumeStream();
        setMessages(await loadMessages(session));
        clearError();
      } catch {
        timer = setTimeout(resume, 1000);
      }
    };
    let timer = setTimeout(resume, 1000);
    return () => clearTimeout(timer);
  }, [error]);
}

/** `fetch` and the readers of its streams fail with a TypeError if the connection breaks. */
const isBroken = (error) => error instanceof TypeError;

function Part({ part, decide }) {
  if (part.type === "text") return <div className="text">{part.text}</div>;
  if (part.type === "reasoning") return <div className="note">{part.text}</div>;
  if (part.type !== "dynamic-tool") return null;
  if (part.state !== "approval-requested") return <div className="note">{part.toolName} → {JSON.stringify(part.output ?? part.errorText ?? part.state)}</div>;
  return (
    <div className="note">
      {part.toolName} {JSON.stringify(part.input)} <button onClick={() => decide(part, "approve")}>approve</button>
      <button onClick={() => decide(part, "deny")}>deny</button>
    </div>
  );
}
