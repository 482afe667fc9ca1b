"""Sums of the tokens that sessions used, by agent and by model."""

from turnlog.domain.session import SessionState
from turnlog.domain.values import Usage, UsageRow


class UsageSum:
    """The sum over the added sessions."""

    def __init__(self) -> None:
        self.sessions = 0
        self.usage = Usage()
        self._rows: dict[tuple[str, str], UsageRow] = {}

    def add(self, state: SessionState) -> None:
        self.sessions += 1
        self.usage += state.usage
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
    if row is None:
        return more
    return (row + more).model_copy(update={"agent": more.agent, "model": more.model, "calls": row.calls + more.calls})
