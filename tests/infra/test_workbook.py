"""The workbook queries names that the code records, in tables and columns that Application Insights has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from turnlog.telemetry import names

ROOT = Path(__file__).parents[2]
WORKBOOK: dict[str, Any] = json.loads((ROOT / "infra" / "workbook.json").read_text(encoding="utf-8"))
TELEMETRY = (ROOT / "docs" / "run" / "telemetry.md").read_text(encoding="utf-8")
QUERIES: dict[str, str] = {
    item["content"]["title"]: item["content"]["query"] for item in WORKBOOK["items"] if item["type"] == 3
}
SPAN_NAMES = {"call_model", "run_tool", "park_turn", "finish_turn", "post message"}
# learn.microsoft.com/azure/azure-monitor/app/data-model-complete. In the exporter's metrics `valueSum` is a counter's
# value, or a histogram's sum over `valueCount` measurements.
COLUMNS = {
    "customMetrics": {"timestamp", "name", "valueSum", "valueCount", "customDimensions", "cloud_RoleInstance"},
    "dependencies": {"timestamp", "name", "duration", "customDimensions", "operation_Id"},
}
ATTRIBUTES = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}


def tables(query: str) -> set[str]:
    return {table for table in COLUMNS if re.search(rf"\b{table}\b", query)}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_uses_recorded_names(query: str) -> None:
    (table,) = tables(query)
    named = set(re.findall(r"\bname == '([^']+)'", query))
    dimensions = set(re.findall(r"customDimensions\['([^']+)'\]", query))

    assert named <= (set(names.METRICS) if table == "customMetrics" else SPAN_NAMES)
    assert named or "name startswith 'invoke_agent '" in query
    assert dimensions <= ATTRIBUTES


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_query_uses_columns_of_its_table(query: str) -> None:
    (table,) = tables(query)
    code = re.sub(r"'[^']*'|\{[^}]*\}", "", query)
    assigned = set(re.findall(r"\b(\w+) =(?!=)", code))
    functions = set(re.findall(r"\b(\w+)\(", code))
    operators = {"let", "where", "summarize", "by", "extend", "project", "order", "top", "desc", "asc", "evaluate"}
    words = set(re.findall(r"\b[A-Za-z_]\w*\b", code)) - assigned - functions - operators - {"startswith", table}

    assert words <= COLUMNS[table]


def test_the_workbook_shows_the_figures_that_operators_need_first() -> None:
    queried = {metric for query in QUERIES.values() for metric in re.findall(r"name == '([^']+)'", query)}

    assert {names.TURNS, names.STORE_CHARGE, names.TOKENS, names.ACTIVE_STREAMS, "call_model"} <= queried
    assert {names.OUTCOME, names.FAULT_DOMAIN} <= set(re.findall(r"'(turnlog\.[a-z_]+)'", str(QUERIES)))


def test_every_metric_is_documented() -> None:
    assert [name for name in names.METRICS if f"`{name}`" not in TELEMETRY] == []


def test_the_host_does_not_send_the_apps_telemetry() -> None:
    host = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
    settings = (ROOT / "infra" / "modules" / "app.bicep").read_text(encoding="utf-8")

    assert host["telemetryMode"] == "OpenTelemetry"
    assert "PYTHON_ENABLE_OPENTELEMETRY: 'true'" in settings
    assert "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY" not in settings
