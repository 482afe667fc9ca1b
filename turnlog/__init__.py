"""What authors of agents import: `from turnlog import Agent, tool`."""

from turnlog.agents.context import ToolContext
from turnlog.agents.declaration import Agent
from turnlog.agents.tools import ClientTool, Tool, ToolError, tool

__all__ = ["Agent", "ClientTool", "Tool", "ToolContext", "ToolError", "tool"]
