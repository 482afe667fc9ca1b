"""Sums of the tokens that sessions used and of their cost, by agent and by model."""

from turnlog.domain.budget import Budget
from turnlog.domain.session import SessionState
from turnlog.domain.values import Cost, Usage, UsageRow, add_costs


class UsageSum:
    """The sum over the added sessions. `cost` is that of the calls that had a price; None if none had one.

    `budget` is that of the session or project, if it has one.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.sessions = 0
        self.usage = Usage()
        self.cost: Cost | None = None
        self.budget = budget
        self._rows: dict[tuple[str, str], UsageRow] = {}

    def add(self, state: SessionState) -> None:
        self.sessions += 1
        self.usage += state.usage
        self.cost = add_costs(self.cost, state.cost)
        for row in state.usage_rows:
            self._rows[row.agent, row.model] = _added(self._rows.get((row.agent, row.model)), row)

    @property
    def rows(self) -> list[UsageRow]:
        """One row per agent and model, in alphabetical order."""
        return [row for _, row in sorted(self._rows.items())]

    def by(self, field: str) -> dict[str, UsageRow]:
        """The sum of the rows for each value of `field`, which is `agent` or `model`."""
        sums: dict[str, UsageRow] = {}
        for row in self.rows:
            name = getattr(row, field)
            sums[name] = _added(sums.get(name), row)
        return sums


def _added(row: UsageRow | None, more: UsageRow) -> UsageRow:
    """The sum of both rows, with the agent and the model of `more`."""
    return more if row is None else more.with_row(row)
