"""An agent of this app. Every `Agent` at the top level of a module in this folder is found."""

from turnlog import Agent, tool


@tool(idempotent=True)
async def greet(name: str) -> str:
    """Return a greeting for somebody."""
    return f"Hello {name}!"


GREETER = Agent(
    name="greeter",
    description="Greets people.",
    instructions="You greet people. Use the tool for each name.",
    tools=[greet],
)
