"""An agent of a shop: it looks up orders, and pays them back once somebody has approved it."""

from turnlog import Agent, ToolError, tool

ORDERS = {"A-1": 2500, "A-2": 990}
"""The price of each order in cents. A real tool asks the shop's system."""


def find_order(order_id: str) -> dict[str, object]:
    """Find an order by its id. Its price is in cents."""
    if order_id not in ORDERS:
        raise ToolError(f"There is no order {order_id}.")
    return {"order_id": order_id, "cents": ORDERS[order_id]}


@tool(requires_approval=True)
async def refund(order_id: str, cents: int) -> str:
    """Pay back a part of an order, or all of it."""
    if not 0 < cents <= ORDERS.get(order_id, 0):
        raise ToolError("A refund is at most the price of an order that exists.")
    return f"{cents} cents of order {order_id} are paid back."


REFUNDS = Agent(
    name="refunds",
    description="Answers questions about orders, and pays them back after an approval.",
    instructions="You work for a shop. Look up an order before you refund it. If a refund is denied, explain why.",
    tools=(find_order, refund),
)
