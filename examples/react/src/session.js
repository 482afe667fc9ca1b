const query = new URLSearchParams(location.search);

export const server = query.get("server") ?? "http://127.0.0.1:7071";
export const agent = query.get("agent") ?? undefined;

export async function call(method, path, body) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(server + path, { method, headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error((await response.json()).detail);
  return response.json();
}

/** The id of the session that the URL names, or of a new one. */
export async function openSession() {
  location.hash ||= (await call("POST", "/sessions", {})).session_id;
  return location.hash.slice(1);
}

/** The messages of the session; of a turn that runs, only the question. */
export async function loadMessages(session) {
  const stored = await call("GET", `/sessions/${session}/messages`);
  const text = (id, role, content) => ({ id, role, parts: [{ type: "text", text: content }] });
  return stored.flatMap(({ message_id, turn_id, content, answer, completed_at }) => [
    text(message_id, "user", content),
    ...(completed_at ? [text(turn_id, "assistant", answer ?? "")] : []),
  ]);
}
