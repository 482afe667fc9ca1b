"""Sessions as the memory of openai-agents: `Runner.run(agent, "…", session=SessionMemory("my-session"))`."""

from typing import Any

from turnlog.domain.ids import SessionId, bound_id
from turnlog.domain.memory import Item
from turnlog.services.memory import Memories
from turnlog.wiring import services

OWNER = "local"
_NO_TRACE = "0" * 32


class SessionMemory:
    """The `Session` protocol of openai-agents on a session's log. That package itself is not needed.

    The memory holds the ended turns of this service and the added items. The service's own model calls get only the
    turns, not the items.
    """

    def __init__(self, openai_session_key: str, *, owner: str = OWNER, session_settings: Any = None) -> None:
        self.session_id = openai_session_key
        self.session_settings = session_settings
        self._owner = owner

    @property
    def _memories(self) -> Memories:
        return services().memories

    @property
    def _log_id(self) -> SessionId:
        return bound_id(self._owner, self.session_id)

    async def get_items(self, limit: int | None = None) -> list[Item]:
        """The newest `limit` items, oldest first. Without a limit, here or in the settings, all items."""
        maximum = getattr(self.session_settings, "limit", None) if limit is None else limit
        items = list(await self._memories.items(self._owner, self._log_id))
        return items if maximum is None else items[max(0, len(items) - max(0, maximum)) :]

    async def add_items(self, items: list[Any]) -> None:
        """Add items, all of them or none. A missing session is created."""
        await self._memories.add(self._owner, self._log_id, items, _NO_TRACE)

    async def pop_item(self) -> Item | None:
        """Remove and return the newest item, or None."""
        return await self._memories.pop(self._owner, self._log_id, _NO_TRACE)

    async def clear_session(self) -> None:
        """Remove all items."""
        await self._memories.clear(self._owner, self._log_id, _NO_TRACE)
