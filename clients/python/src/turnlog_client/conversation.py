"""A session folded from its events: turns, what waits, and what was used."""

from dataclasses import dataclass, field

from turnlog_client.events import Event
from turnlog_client.options import OnBusy
from turnlog_client.turn import Turn
from turnlog_client.values import ActionKind, SessionState


@dataclass(frozen=True)
class Action:
    """A tool call that waits: for an approval, or for the client to run it. `arguments` is JSON."""

    call_id: str
    kind: ActionKind
    name: str
    arguments: str
    expires_at: str


@dataclass(frozen=True)
class Queued:
    """A message that waits for its turn."""

    message_id: str
    text: str
    on_busy: OnBusy


@dataclass(frozen=True)
class UsageSample:
    """The tokens of one model call."""

    sequence: int
    model: str
    input: int
    output: int


@dataclass
class Conversation:
    """Give it each event of a session, in order. The same events always give the same conversation.

    `head` is the sequence of the last event. `revision` grows with each event that changes something here.
    """

    session_name: str | None = None
    agent_name: str | None = None
    project_id: str | None = None
    is_deleted: bool = False
    head: int = 0
    revision: int = 0
    turns: list[Turn] = field(default_factory=list[Turn])
    queue: list[Queued] = field(default_factory=list[Queued])
    actions: list[Action] = field(default_factory=list[Action])
    usage: list[UsageSample] = field(default_factory=list[UsageSample])

    @property
    def active_turn(self) -> Turn | None:
        """The turn that runs or waits for an action, if any."""
        return self.turns[-1] if self.turns and self.turns[-1].status == "running" else None

    @property
    def state(self) -> SessionState:
        """What a user interface shows. A turn is queued until a process begins it."""
        turn = self.active_turn
        if turn is None:
            return "queued" if self.queue else "idle"
        if turn.is_cancelling:
            return "cancelling"
        if self.actions:
            return "requires_action"
        if turn.is_stalled:
            return "stalled"
        return "running" if turn.steps else "queued"

    def apply(self, event: Event) -> None:
        """Read the next event. Events of other producers and of unknown types change only `head`."""
        if event.sequence <= self.head:
            return
        self.head = event.sequence
        if not event.is_known:
            return
        self.revision += 1
        self._apply_to_session(event)
        if event.turn_id is not None and event.type not in {"message.queued", "message.withdrawn"}:
            self._turn(event.turn_id).apply(event)

    def _apply_to_session(self, event: Event) -> None:
        data = event.data
        match event.type:
            case "session.created" | "session.updated":
                self.session_name = data.get("session_name", self.session_name)
                self.agent_name = data.get("agent_name", self.agent_name)
                self.project_id = data.get("project_id", self.project_id)
            case "session.deleted":
                self.is_deleted = True
            case "message.queued":
                self._enqueue(Queued(event.message_id or "", data["text"], data["on_busy"]))
            case "message.withdrawn" | "user_message":
                self.queue = [each for each in self.queue if each.message_id != event.message_id]
                if event.type == "user_message":
                    self._remove_from_earlier_turn(event)
            case "token_usage":
                sample = UsageSample(event.sequence, data["model"], data["prompt_tokens"], data["completion_tokens"])
                self.usage.append(sample)
            case "tool_call.action_required":
                action = Action(data["id"], data["kind"], data["name"], data["arguments"], data["expires_at"])
                self.actions.append(action)
            case "tool_call.action" | "tool_call.complete":
                self.actions = [each for each in self.actions if each.call_id != data["id"]]
            case "run.complete":
                self.actions = []
            case _:
                pass  # it changes the turn, not the session

    def _remove_from_earlier_turn(self, event: Event) -> None:
        for turn in self.turns[-2:]:
            if turn.id != event.turn_id:
                turn.remove_message(event.message_id or "")

    def _enqueue(self, queued: Queued) -> None:
        """Put a message ahead of the others: the newest interruption first, others behind those ahead already."""
        behind = (index for index, each in enumerate(self.queue) if each.on_busy == "enqueue")
        index = {"interrupt": 0, "steer": next(behind, len(self.queue))}.get(queued.on_busy, len(self.queue))
        self.queue.insert(index, queued)

    def _turn(self, turn_id: str) -> Turn:
        turn = next((each for each in reversed(self.turns) if each.id == turn_id), None)
        if turn is None:
            turn = Turn(turn_id)
            self.turns.append(turn)
        return turn
