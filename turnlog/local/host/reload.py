"""Loads the agents again when a file in their folder is saved. Turns that run are not interrupted.

An activity ends with the code that it began with; the next one uses the new code. A mistake in a file is printed, and
the agents of before stay.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from turnlog.agents.discovery import AgentMistakesError, find_agents
from turnlog.agents.registry import agents_folder, use_agents

_POLL_SECONDS = 0.3

Stamps = dict[Path, tuple[int, int]]


class AgentReload:
    """Watches the folder of the agents, from its creation on; create it before the app is loaded."""

    def __init__(self, print_line: Callable[[str], None] = print) -> None:
        named = os.environ.get("AGENTS_DIR")
        self._named = Path(named) if named else None
        self._print = print_line
        self._loaded = self._stamps()

    async def run(self) -> None:
        """Load the agents again after each change, until this is cancelled."""
        seen = self._loaded
        while True:
            stamps = await asyncio.to_thread(self._stamps)
            # A file that is still being written changes again. So a change counts when it is seen twice.
            if stamps == seen and stamps != self._loaded:
                self._loaded = stamps
                await self._load()
            seen = stamps
            await asyncio.sleep(_POLL_SECONDS)

    async def _load(self) -> None:
        folder = agents_folder(self._named)
        try:
            found = {} if folder is None else await asyncio.to_thread(find_agents, folder)
        except AgentMistakesError as error:
            for mistake in error.mistakes:
                self._print(f"agents not loaded: {mistake}")
        else:
            use_agents(found)  # on the event loop, where the agents are looked up
            self._print(f"agents loaded: {', '.join(sorted(found)) or 'none'}")

    def _stamps(self) -> Stamps:
        folder = agents_folder(self._named)
        stamps: Stamps = {}
        if folder is None:
            return stamps
        for file in folder.rglob("*.py"):
            try:
                found = file.stat()
            except FileNotFoundError:  # an editor replaces it
                continue
            stamps[file] = (found.st_mtime_ns, found.st_size)
        return stamps
