"""The figures, the table that shows them, and the machine on which they were measured."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_CPUS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Figure:
    """One line of the table; its goal is a maximum or a minimum, if it has one."""

    name: str
    value: float
    unit: str
    p95: float | None = None
    goal_max: float | None = None
    goal_min: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.goal_max is not None:
            return self.value <= self.goal_max
        return None if self.goal_min is None else self.value >= self.goal_min

    @property
    def goal(self) -> str:
        bounds = (("≤", self.goal_max), ("≥", self.goal_min))
        return next(
            (f"{sign} {format_number(bound)} {self.unit}".strip() for sign, bound in bounds if bound is not None), ""
        )

    @property
    def measured(self) -> str:
        beside = [f"p95 {format_number(self.p95)}"] if self.p95 is not None else []
        beside += [self.note] if self.note else []
        return f"{format_number(self.value)} {self.unit}".strip() + (f" ({'; '.join(beside)})" if beside else "")


def summary(name: str, values: Sequence[float], unit: str, *, goal_max: float | None = None, note: str = "") -> Figure:
    """Return the median of `values`, with their 95th percentile if there are at least twenty."""
    return Figure(name, statistics.median(values), unit, p95=p95(values), goal_max=goal_max, note=note)


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as Markdown."""
    marks = {True: "yes", False: "**no**", None: ""}
    rows = [("figure", "measured", "goal", "met?"), ("---", "---", "---", "---")]
    rows += [(figure.name, figure.measured, figure.goal, marks[figure.met]) for figure in figures]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def plain(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Return the figures for JSON."""
    return [asdict(figure) | {"met": figure.met} for figure in figures]


def machine() -> str:
    """Return a description of the machine: processor, system and Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{cores} cores of {_processor()}, {platform.system()}, {python}"


def load() -> str:
    """Return the load of the machine: the mean number of runnable processes in the last minute."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def p95(values: Sequence[float]) -> float | None:
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) >= 20 else None


def format_number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.2f}" if abs(value) < 3 else f"{value:.1f}"


def _processor() -> str:
    if not _CPUS.is_file():
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in _CPUS.read_text().splitlines() if line.startswith("model name"))
    return next(named, platform.machine())
