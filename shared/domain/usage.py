"""Adding up what sessions used, by agent and by model."""

from shared.domain.session import SessionState
from shared.domain.values import Usage, UsageRow


class UsageSum:
    """What the sessions added so far used."""

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
        """By agent and model, in their alphabetical order."""
        return [row for _, row in sorted(self._rows.items())]

    def by(self, field: str) -> dict[str, UsageRow]:
        """The rows added up by their `agent` or `model`."""
        found: dict[str, UsageRow] = {}
        for row in self.rows:
            name = getattr(row, field)
            found[name] = _added(found.get(name), row)
        return found


def _added(row: UsageRow | None, more: UsageRow) -> UsageRow:
    """`row` and `more` together, under the names of `more`."""
    if row is None:
        return more
    total: Usage = row + more
    return UsageRow(agent=more.agent, model=more.model, calls=row.calls + more.calls, **total.model_dump())
