"""What `turnlog chat` writes: the conversation as text, as it happens."""

from collections.abc import Callable
from dataclasses import dataclass, field

from turnlog_client.command.lines import compact, one_line, printable
from turnlog_client.conversation import Action, Conversation
from turnlog_client.events import Event
from turnlog_client.turn import Step, ToolCall, Turn, UserPart

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


@dataclass
class Transcript:
    """Writes a conversation to a terminal, or as plain text.

    `own` are the `client_id`s of messages that were typed in this terminal: they are on the screen already.
    """

    write: Callable[[str], None]
    has_styles: bool
    width: int
    own: set[str] = field(default_factory=set[str])
    _is_line_open: bool = False
    _is_dim: bool = False
    _written: dict[tuple[str | None, int], str] = field(default_factory=dict[tuple[str | None, int], str])

    def note(self, text: str) -> None:
        """Write a line about the conversation."""
        self._end_line()
        self._text(one_line(text, self.width), is_dim=True)
        self._end_line()

    def line(self, text: str) -> None:
        """Write a line as it is."""
        self._end_line()
        self._text(text + "\n", is_dim=False)

    def prompt(self) -> None:
        """Invite to type."""
        self._end_line()
        self.write("> ")
        self._is_line_open = True

    def typed(self) -> None:
        """Continue after a line that was typed: its end is on the screen."""
        self._is_line_open = False

    def show_past(self, conversation: Conversation) -> None:
        """Write what has happened before."""
        for turn in conversation.turns:
            for part in turn.parts:
                self._show_user(part.text) if isinstance(part, UserPart) else self._show_step(turn, part)
            if turn.status != "running":
                self._show_end(turn.status, turn.error["message"] if turn.error else None)
        for action in conversation.actions:
            self._show_action(action)

    def show(self, event: Event, conversation: Conversation) -> None:
        """Write what an event brings; `conversation` has read it."""
        if not event.is_known:
            return
        data = event.data
        match event.type:
            case "user_message":
                self._end_line()
                if data.get("client_id") not in self.own:
                    self._show_user(data["text"])
            case "message.queued":
                self.own.discard(data.get("client_id") or "")  # it is shown again when its turn begins
                self.note(f"waits for its turn: {data['text']}")
            case "status":
                self.note(
                    "stopping …" if data["status"] == "cancelling" else "the turn is continued by another process …"
                )
            case "error":
                self.note(f"error: {data['message']}")
            case "tool_call.action_required":
                self._show_action(conversation.actions[-1])
            case "run.complete":
                self._show_end(data["status"], data["error"]["message"] if data["error"] else None)
            case _:
                self._show_progress(event)

    def _show_progress(self, event: Event) -> None:
        data, key = event.data, (event.turn_id, event.data.get("step", 0))
        match event.type:
            case "message.start":
                if key in self._written:
                    self.note(f"step {data['step']} starts again (attempt {data['attempt']}): what it wrote is void")
                self._written[key] = ""
            case "reasoning.delta":
                self._text(data["text"], is_dim=True)
            case "message.delta":
                self._write_answer(key, data["text"])
            case "message.complete":
                self._write_answer(key, data["text"][len(self._written.get(key, "")) :])
                self._end_line()
            case "tool_call.start":
                self.note(f"→ {data['name']} {data['arguments']}")
            case "tool_call.complete":
                self._show_tool_end(data["name"], data["status"], data["response"])
            case _:
                pass

    def _write_answer(self, key: tuple[str | None, int], text: str) -> None:
        if self._is_dim:
            self._end_line()
        self._written[key] = self._written.get(key, "") + text
        self._text(text, is_dim=False)

    def _show_user(self, text: str) -> None:
        self._end_line()
        self._text(f"> {text}", is_dim=False)
        self._end_line()

    def _show_step(self, turn: Turn, step: Step) -> None:
        if step.reasoning:
            self._text(step.reasoning, is_dim=True)
        self._write_answer((turn.id, step.number), step.text)
        if step.is_complete:
            self._end_line()
        for tool in step.tools:
            self._show_tool(tool)

    def _show_tool(self, tool: ToolCall) -> None:
        if tool.status in {"running", "completed", "failed", "cancelled", "denied"}:
            self.note(f"→ {tool.name} {tool.arguments}")
        if tool.status in {"completed", "failed", "cancelled", "denied"}:
            self._show_tool_end(tool.name, tool.status, tool.response)

    def _show_tool_end(self, name: str, status: str, response: object) -> None:
        self.note(f"← {name} {'' if status == 'completed' else status + ' '}{compact(response)}")

    def _show_action(self, action: Action) -> None:
        answer = "/approve or /deny [reason]" if action.kind == "approval" else "/result JSON"
        self.note(f"? {action.name} {action.arguments} waits: {answer}")

    def _show_end(self, status: str, error: str | None) -> None:
        if status != "completed":
            self.note(status + (f": {error}" if error else ""))
        self._end_line()

    def _text(self, text: str, *, is_dim: bool) -> None:
        if not text:
            return
        shown = printable(text)
        self.write(f"{_DIM}{shown}{_PLAIN}" if is_dim and self.has_styles else shown)
        self._is_line_open = not shown.endswith("\n")
        self._is_dim = is_dim

    def _end_line(self) -> None:
        if self._is_line_open:
            self.write("\n")
        self._is_line_open = self._is_dim = False
