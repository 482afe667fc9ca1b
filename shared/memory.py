"""Sessions as the memory of openai-agents: `Runner.run(agent, "…", session=SessionMemory("my-session"))`."""

from typing import Any

from shared.domain.ids import SessionId
from shared.domain.memory import Item
from shared.services.memory import Memories
from shared.wiring import services

OWNER = "local"
_NO_TRACE = "0" * 32


class SessionMemory:
    """The `Session` protocol of openai-agents over a session's log; it doesn't need that package.

    What it remembers are the turns of this service that have ended, and the items that were added. The service's own
    model calls are told of the turns only, not of the items.
    """

    def __init__(self, openai_session_key: str, *, owner: str = OWNER, session_settings: Any = None) -> None:
        self.session_id = openai_session_key
        self.session_settings = session_settings
        self._owner = owner

    @property
    def _memories(self) -> Memories:
        return services().memories

    async def get_items(self, limit: int | None = None) -> list[Item]:
        """The newest `limit` items, or those of the settings, or all; oldest first."""
        most = getattr(self.session_settings, "limit", None) if limit is None else limit
        items = list(await self._memories.items(self._owner, SessionId(self.session_id)))
        return items if most is None else items[max(0, len(items) - max(0, most)) :]

    async def add_items(self, items: list[Any]) -> None:
        """Add items, all of them or none. The session is opened if there is none."""
        await self._memories.add(self._owner, SessionId(self.session_id), items, _NO_TRACE)

    async def pop_item(self) -> Item | None:
        """Remove the newest item; it, or None."""
        return await self._memories.pop(self._owner, SessionId(self.session_id), _NO_TRACE)

    async def clear_session(self) -> None:
        """Forget everything up to now."""
        await self._memories.clear(self._owner, SessionId(self.session_id), _NO_TRACE)
