"""What authors of agents import: `from turnlog import Agent, tool`."""

from shared.agents.context import ToolContext
from shared.agents.declaration import Agent
from shared.agents.tools import ClientTool, Tool, ToolError, tool

__all__ = ["Agent", "ClientTool", "Tool", "ToolContext", "ToolError", "tool"]
