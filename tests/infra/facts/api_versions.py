"""The API version of each resource family, and the evidence that it is stable and current.

The source of every row is github.com/Azure/bicep-types-az at 1f896de2 (20 August 2026). The version is in
`generated/<folder>/<provider>/<version>/types.json`, with every property of azure_facts.py and every value of
azure_limits.py. `newest` is the newest stable version there of every type of the family. "AVM": the Azure Verified
Modules (github.com/Azure/bicep-registry-modules at 9f9ea1a1) deploy that version. "Linter": release 0.49.2 of the
compiler names it as current. Before you change a version, check each property and value in the new one.
"""

from datetime import date, timedelta
from typing import NamedTuple

AS_OF = date(2026, 11, 26)
MAX_AGE = timedelta(days=730)  # as in infra/bicepconfig.json


class Version(NamedTuple):
    used: str
    newest: str
    folder: str
    also: str = ""


VERSIONS = {
    "Microsoft.Authorization": Version("2022-04-01", "2022-04-01", "authorization", "AVM"),
    "Microsoft.CognitiveServices": Version("2026-03-01", "2026-07-01", "cognitiveservices", "AVM"),
    "Microsoft.DocumentDB": Version("2025-10-15", "2026-03-15", "cosmos-db", "Linter"),
    "Microsoft.DurableTask": Version("2026-02-01", "2026-02-01", "durabletask_0"),
    "Microsoft.Insights/actionGroups": Version("2023-01-01", "2023-01-01", "monitor_1", "AVM"),
    "Microsoft.Insights/components": Version("2020-02-02", "2020-02-02", "applicationinsights", "AVM"),
    # No other stable version of these two is less than two years old.
    "Microsoft.Insights/metricAlerts": Version("2026-01-01", "2026-01-01", "monitor_1"),
    "Microsoft.Insights/scheduledQueryRules": Version("2026-03-01", "2026-03-01", "monitor_1"),
    "Microsoft.Insights/workbooks": Version("2023-06-01", "2023-06-01", "applicationinsights", "AVM"),
    "Microsoft.ManagedIdentity": Version("2024-11-30", "2024-11-30", "msi", "AVM, Linter"),
    # From 2025-07-01 on, subnets of a new network are private by default. This app was never tested with that:
    # techcommunity.microsoft.com, "Private subnets by default in Azure Virtual Networks".
    "Microsoft.Network": Version("2025-05-01", "2025-09-01", "network", "AVM"),
    "Microsoft.Network/privateDnsZones": Version("2024-06-01", "2024-06-01", "privatedns", "AVM"),
    "Microsoft.OperationalInsights": Version("2025-07-01", "2026-03-01", "operationalinsights", "AVM"),
    "Microsoft.Resources": Version("2025-04-01", "2025-04-01", "resources_11", "AVM, Linter"),
    "Microsoft.SignalRService": Version("2024-03-01", "2024-03-01", "signalr", "AVM"),
    "Microsoft.SignalRService/webPubSub": Version("2024-03-01", "2024-03-01", "webpubsub", "AVM"),
    "Microsoft.Storage": Version("2025-08-01", "2026-04-01", "storage", "AVM, Linter"),
    "Microsoft.Web": Version("2025-03-01", "2025-03-01", "web", "AVM, Linter"),
}


def family_of(kind: str) -> str:
    """The longest family in the table that contains the type, which has no version here. Otherwise the type itself."""
    fitting = [family for family in VERSIONS if f"{kind}/".startswith(f"{family}/")]
    return max(fitting, key=len, default=kind)
