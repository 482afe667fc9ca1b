"""An agent that draws lots: with it one can try approvals, and tools that the client runs, by hand."""

import secrets

from shared.agents.declaration import Agent
from shared.agents.tools import ClientTool, ToolError, tool

_MOST_NAMES = 1000


async def draw_lots(names: list[str], count: int = 1) -> list[str]:
    """Draw `count` winners from a list of names: by chance, each at most once, in the order of the prizes."""
    if not 1 <= count <= len(names) <= _MOST_NAMES:
        raise ToolError(f"Give from 1 to {_MOST_NAMES} names, and as `count` at most as many as there are names.")
    return secrets.SystemRandom().sample(names, count)


ASK_USER = ClientTool(
    name="ask_user",
    description="Ask the user a question when something is missing, and get the answer.",
    parameters={
        "type": "object",
        "properties": {"question": {"type": "string"}},
        "required": ["question"],
        "additionalProperties": False,
    },
)

RAFFLE = Agent(
    name="raffle",
    description="Draws winners once somebody approves; asks the user for what it needs to know.",
    instructions=(
        "You run raffles. Use ask_user to learn who takes part and how many prizes there are, if you were not told."
        " Then use draw_lots, once, and announce the winners. When a draw is denied, say so and do not try again."
    ),
    # A second draw would have other winners: it must not be repeated unasked.
    tools=(tool(draw_lots, requires_approval=True), ASK_USER),
)
