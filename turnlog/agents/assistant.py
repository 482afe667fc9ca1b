"""The default agent: a helpful assistant that can calculate and knows the time."""

from turnlog.agents.declaration import Agent
from turnlog.agents.tools import calculate, current_time, tool

ASSISTANT = Agent(
    name="assistant",
    description="Answers questions; calculates and knows the time.",
    instructions="You are a helpful assistant. Answer briefly and plainly. Use the tools you have when they help.",
    tools=(tool(current_time, idempotent=True), tool(calculate, idempotent=True)),
)
