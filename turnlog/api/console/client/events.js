/** The events of a session's log, as the stream sends them. */
const KNOWN = {
    "session.created": true,
    "session.updated": true,
    "session.deleted": true,
    user_message: true,
    "message.queued": true,
    "message.withdrawn": true,
    "run.start": true,
    "run.handover": true,
    "message.start": true,
    "message.delta": true,
    "reasoning.delta": true,
    "tool_call.delta": true,
    "message.complete": true,
    token_usage: true,
    "tool_call.start": true,
    "tool_call.complete": true,
    "tool_call.action_required": true,
    "tool_call.action": true,
    vibecode_response: true,
    status: true,
    error: true,
    "run.complete": true,
};
/** Whether the service itself wrote the event, and this client knows its type. Only such events make up an answer. */
export function isKnown(event) {
    return Object.hasOwn(KNOWN, event.type) && event.data.origin !== "outside";
}
