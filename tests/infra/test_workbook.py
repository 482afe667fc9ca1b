"""The workbook asks for what the code tells, in the tables and columns that Application Insights keeps it in."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.telemetry import names

ROOT = Path(__file__).parents[2]
WORKBOOK: dict[str, Any] = json.loads((ROOT / "infra" / "workbook.json").read_text(encoding="utf-8"))
TELEMETRY = (ROOT / "docs" / "run" / "telemetry.md").read_text(encoding="utf-8")
QUERIES: dict[str, str] = {
    item["content"]["title"]: item["content"]["query"] for item in WORKBOOK["items"] if item["type"] == 3
}
TOLD_SPANS = {"call_model", "run_tool", "park_turn", "finish_turn", "post message"}
# learn.microsoft.com/azure/azure-monitor/app/data-model-complete; the exporter fills the columns of a metric so that
# `valueSum` is a counter's value, and a histogram's sum over `valueCount` measurements.
COLUMNS = {
    "customMetrics": {"timestamp", "name", "valueSum", "valueCount", "customDimensions", "cloud_RoleInstance"},
    "dependencies": {"timestamp", "name", "duration", "customDimensions", "operation_Id"},
}
ATTRIBUTES = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}


def tables(query: str) -> set[str]:
    return {table for table in COLUMNS if re.search(rf"\b{table}\b", query)}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_asks_for_what_is_told(query: str) -> None:
    (table,) = tables(query)
    named = set(re.findall(r"\bname == '([^']+)'", query))
    dimensions = set(re.findall(r"customDimensions\['([^']+)'\]", query))

    assert named <= (set(names.METRICS) if table == "customMetrics" else TOLD_SPANS)
    assert named or "name startswith 'invoke_agent '" in query
    assert dimensions <= ATTRIBUTES


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_uses_columns_that_its_table_has(query: str) -> None:
    (table,) = tables(query)
    code = re.sub(r"'[^']*'|\{[^}]*\}", "", query)
    made = set(re.findall(r"\b(\w+) =(?!=)", code))
    functions = set(re.findall(r"\b(\w+)\(", code))
    operators = {"let", "where", "summarize", "by", "extend", "project", "order", "top", "desc", "asc", "evaluate"}
    words = set(re.findall(r"\b[A-Za-z_]\w*\b", code)) - made - functions - operators - {"startswith", table}

    assert words <= COLUMNS[table]


def test_the_workbook_shows_what_operators_ask_first() -> None:
    asked = {metric for query in QUERIES.values() for metric in re.findall(r"name == '([^']+)'", query)}

    assert {names.TURNS, names.STORE_CHARGE, names.TOKENS, names.ACTIVE_STREAMS, "call_model"} <= asked
    assert {names.OUTCOME, names.FAULT_DOMAIN} <= set(re.findall(r"'(turnlog\.[a-z_]+)'", str(QUERIES)))


def test_every_metric_is_told_of() -> None:
    assert [name for name in names.METRICS if f"`{name}`" not in TELEMETRY] == []


def test_the_host_leaves_telemetry_of_the_app_to_the_app() -> None:
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    settings = (ROOT / "infra" / "modules" / "app.bicep").read_text(encoding="utf-8")

    assert host["telemetryMode"] == "OpenTelemetry"
    assert "PYTHON_ENABLE_OPENTELEMETRY: 'true'" in settings
    assert "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY" not in settings
