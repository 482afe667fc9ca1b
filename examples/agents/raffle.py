"""An agent that draws lots: an example of approvals, and of tools that the client runs."""

import secrets

from turnlog import Agent, ClientTool, ToolError, tool

_MAX_NAMES = 1000


async def draw_lots(names: list[str], count: int = 1) -> list[str]:
    """Draw `count` winners from a list of names: at random, each at most once, in the order of the prizes."""
    if not 1 <= count <= len(names) <= _MAX_NAMES:
        raise ToolError(f"Give 1 to {_MAX_NAMES} names, and a `count` that is at most the number of names.")
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
    description="Draws winners after an approval; asks the user for missing information.",
    instructions=(
        "You run raffles. Use ask_user to learn who takes part and how many prizes there are, if they are missing."
        " Then use draw_lots, once, and announce the winners. When a draw is denied, say so and do not try again."
    ),
    # A second draw would have other winners, so the tool is not idempotent.
    tools=(tool(draw_lots, requires_approval=True), ASK_USER),
)
