"""What authors of agents import: `from turnlog import Agent, tool`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnlog.agents.context import ToolContext
    from turnlog.agents.declaration import Agent
    from turnlog.agents.tools import ClientTool, Tool, ToolError, tool

__version__ = "0.1.0"
__all__ = ["Agent", "ClientTool", "Tool", "ToolContext", "ToolError", "tool"]

_MODULES = {"Agent": "turnlog.agents.declaration", "ToolContext": "turnlog.agents.context"}


def __getattr__(name: str) -> Any:
    """Import what is named when it is used, so that a command that needs no agent starts without them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES.get(name, "turnlog.agents.tools")), name)
