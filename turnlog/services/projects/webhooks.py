"""Webhooks of projects: what a client may set up, what is announced, and what a receiver is sent."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from pydantic_core import to_json

from turnlog.domain.errors import FieldProblem, InvalidRequestError, WebhookTimeoutError, WebhookUnreachableError
from turnlog.domain.ids import MessageId, TurnId, public_id
from turnlog.domain.session import SessionState
from turnlog.domain.stored_documents import Message
from turnlog.domain.webhooks import (
    Announcement,
    Delivery,
    Webhook,
    WebhookEvent,
    new_webhook,
    signature,
    url_problem,
    webhook_body,
)
from turnlog.ports import Clock, ProjectStore, SessionLog, TurnScheduler, WebhookRequest, WebhookSender
from turnlog.services.projects.options import ProjectOptions

DeliveryOutcome: TypeAlias = Literal["delivered", "retry", "dropped"]
"""`delivered`: the receiver answered 2xx. `retry`: it did not. `dropped`: there is nothing to deliver any more."""

_AT_ONCE = 8
"""So many attempts for one webhook run at once in this process; others are made later."""

_SILENT_PAUSE = timedelta(seconds=30)

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WantedWebhook:
    """A webhook as a client asks for it."""

    url: str
    events: Sequence[WebhookEvent]
    secret: str | None = None


class Webhooks:
    """`allows_loopback`: receivers on this machine are allowed, also without https."""

    def __init__(self, clock: Clock, options: ProjectOptions, *, allows_loopback: bool) -> None:
        self._clock = clock
        self._options = options
        self._allows_loopback = allows_loopback

    def accept(self, wanted: Sequence[WantedWebhook]) -> Sequence[tuple[Webhook, bool]]:
        """The wanted webhooks with ids and secrets, each with whether its secret was given.

        Raises:
            InvalidRequestError: a URL is not allowed.
        """
        found = [url_problem(each.url, allows_loopback=self._allows_loopback) for each in wanted]
        problems = tuple(
            FieldProblem(f"/webhooks/{index}/url", problem) for index, problem in enumerate(found) if problem
        )
        if problems:
            raise InvalidRequestError("A webhook has a URL that is not allowed.", problems)
        at = self._clock.now()
        return [(new_webhook(each.url, each.events, each.secret, at), each.secret is not None) for each in wanted]

    async def announce_turn(self, state: SessionState, turn_id: TurnId, scheduler: TurnScheduler) -> None:
        """Start the deliveries of a turn that has ended or waits for an action. Safe to repeat."""
        turn = state.active_turn
        if state.deleted:
            return  # that it was deleted is announced by itself
        if turn is None or turn.turn_id != turn_id:
            await self._announce(state, Announcement("run.complete", turn_id), scheduler)
        elif turn.parked and turn.open_actions:
            actions = sorted(turn.open_actions)
            await self._announce(state, Announcement("requires_action", turn_id, actions), scheduler)

    async def announce_deletion(self, state: SessionState, scheduler: TurnScheduler) -> None:
        """Start the deliveries of the session's deletion. Safe to repeat."""
        if state.deleted:
            await self._announce(state, Announcement("session_deleted"), scheduler)

    async def announces(self, state: SessionState) -> bool:
        """Whether the session's project has webhooks."""
        project = await self._options.find(state)
        return project is not None and bool(project.webhooks)

    async def _announce(self, state: SessionState, event: Announcement, scheduler: TurnScheduler) -> None:
        project = await self._options.find(state)
        for webhook in () if project is None else project.webhooks:
            if project is not None and event.name in webhook.events:
                await scheduler.deliver(Delivery.of(project.id, webhook, state.session_id, event))


class Deliveries:
    """Attempts to deliver. A receiver that did not answer in time is left alone for a while by this process.

    Otherwise the attempts for it would take all places that the activities of turns need.
    """

    def __init__(self, log: SessionLog, projects: ProjectStore, sender: WebhookSender, clock: Clock) -> None:
        self._log = log
        self._projects = projects
        self._sender = sender
        self._clock = clock
        self._running = Counter[str]()
        self._silent_until = dict[str, datetime]()

    async def attempt(self, delivery: Delivery) -> DeliveryOutcome:
        """Send a delivery once. If this runs twice, the receiver gets it twice, with the same id.

        Raises:
            StoreUnavailableError
        """
        project = await self._projects.get(delivery.project_id)
        hooks = [] if project is None else [hook for hook in project.webhooks if hook.id == delivery.webhook_id]
        body = await self._body(delivery) if hooks else None
        if body is None:
            return "dropped"
        if self._is_busy(hooks[0].id):
            return _failed(delivery, "it is not called while it does not answer in time")
        try:
            status = await self._send(self._request(hooks[0], delivery, to_json(body)), hooks[0].id)
        except WebhookUnreachableError as error:
            return _failed(delivery, str(error))
        return "delivered" if HTTPStatus(200) <= status < HTTPStatus(300) else _failed(delivery, f"status {status}")

    def _is_busy(self, webhook_id: str) -> bool:
        silent_until = self._silent_until.get(webhook_id)
        is_silent = silent_until is not None and self._clock.now() < silent_until
        return is_silent or self._running[webhook_id] >= _AT_ONCE

    async def _send(self, request: WebhookRequest, webhook_id: str) -> int:
        self._running[webhook_id] += 1
        try:
            status = await self._sender.send(request)
        except WebhookTimeoutError:
            now = self._clock.now()
            silent = {each: until for each, until in self._silent_until.items() if until > now}
            self._silent_until = {**silent, webhook_id: now + _SILENT_PAUSE}
            raise
        finally:
            self._running[webhook_id] -= 1
            if not self._running[webhook_id]:
                del self._running[webhook_id]
        self._silent_until.pop(webhook_id, None)
        return status

    def _request(self, webhook: Webhook, delivery: Delivery, body: bytes) -> WebhookRequest:
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": "turnlog",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(webhook.secret, delivery.id, timestamp, body),
        }
        return WebhookRequest(webhook.url, headers, body)

    async def _body(self, delivery: Delivery) -> dict[str, Any] | None:
        """What is sent; None if the session has lost it."""
        state = await self._log.state(delivery.session_id)
        if state is None or state.deleted != (delivery.event == "session_deleted"):
            return None
        ids = {"session_id": public_id(state.session_id), "project_id": delivery.project_id}
        if delivery.turn_id is None:
            return webhook_body(delivery.event, _time(state.updated_at.isoformat()), ids)
        message_id = MessageId(f"msg_{delivery.turn_id.removeprefix('turn_')}_{public_id(state.session_id)}")
        message = await self._log.get(Message, state.session_id, message_id)
        if message is None:
            return None
        ids |= {"turn_id": message.turn_id, "message_id": message.id}
        if delivery.event == "requires_action":
            return _action_body(state, delivery, ids)
        return _end_body(message, ids)


def _action_body(state: SessionState, delivery: Delivery, ids: dict[str, Any]) -> dict[str, Any] | None:
    turn = state.active_turn
    if turn is None or turn.turn_id != delivery.turn_id or not turn.open_actions:
        return None  # it is decided
    actions = [
        {"call_id": call_id, "kind": action.kind, "name": action.name, "expires_at": action.expires_at}
        for call_id, action in turn.open_actions.items()
    ]
    return webhook_body(delivery.event, _time(turn.changed_at.isoformat()), {**ids, "required_action": actions})


def _end_body(message: Message, ids: dict[str, Any]) -> dict[str, Any] | None:
    if message.completed_at is None:
        return None
    fields = message.model_dump(mode="json", include=_END_FIELDS)
    return webhook_body("run.complete", _time(message.completed_at.isoformat()), {**ids, **fields})


_END_FIELDS = {"status", "error", "agent", "model", "usage", "cost", "finish_reason", "trace_id", "client_id"}


def _time(text: str) -> str:
    return text.replace("+00:00", "Z")


def _failed(delivery: Delivery, reason: str) -> DeliveryOutcome:
    _log.warning(
        "webhook %s of project %s did not take %s: %s", delivery.webhook_id, delivery.project_id, delivery.id, reason
    )
    return "retry"
