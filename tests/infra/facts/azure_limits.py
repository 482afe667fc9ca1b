"""The values and names that Azure and azd accept, each table with its source."""

# The allowed values of properties with a closed list, by type and path. The source is the one of api_versions.py.
VALUES = {
    "Microsoft.Authorization/roleAssignments@2022-04-01 properties.principalType": "ServicePrincipal",
    "Microsoft.CognitiveServices/accounts@2026-03-01 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.DocumentDB/databaseAccounts@2025-10-15 kind": "GlobalDocumentDB MongoDB Parse",
    "Microsoft.DocumentDB/databaseAccounts@2025-10-15 properties.databaseAccountOfferType": "Standard",
    "Microsoft.DocumentDB/databaseAccounts@2025-10-15 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.DocumentDB/databaseAccounts@2025-10-15 properties.minimalTlsVersion": "Tls Tls11 Tls12",
    "Microsoft.DocumentDB/databaseAccounts@2025-10-15 properties.backupPolicy.type": "Continuous Periodic",
    "Microsoft.DocumentDB/databaseAccounts@2025-10-15 properties.backupPolicy.continuousModeProperties.tier": (
        "Continuous7Days Continuous30Days"
    ),
    "Microsoft.DurableTask/schedulers@2026-02-01 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.Insights/components@2020-02-02 properties.Application_Type": "web other",
    "Microsoft.Insights/metricAlerts@2026-01-01 properties.criteria.odata.type": (
        "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
    ),
    "Microsoft.Insights/metricAlerts@2026-01-01 properties.criteria.allOf.criterionType": "StaticThresholdCriterion",
    "Microsoft.Insights/metricAlerts@2026-01-01 properties.criteria.allOf.operator": (
        "Equals GreaterThan GreaterThanOrEqual LessThan LessThanOrEqual"
    ),
    "Microsoft.Insights/metricAlerts@2026-01-01 properties.criteria.allOf.timeAggregation": (
        "Average Count Minimum Maximum Total"
    ),
    "Microsoft.Insights/scheduledQueryRules@2026-03-01 properties.criteria.allOf.operator": (
        "Equals GreaterThan GreaterThanOrEqual LessThan LessThanOrEqual"
    ),
    "Microsoft.Insights/scheduledQueryRules@2026-03-01 properties.criteria.allOf.timeAggregation": (
        "Count Average Minimum Maximum Total"
    ),
    "Microsoft.OperationalInsights/workspaces@2025-07-01 properties.sku.name": "PerGB2018 CapacityReservation",
    "Microsoft.SignalRService/signalR@2024-03-01 kind": "SignalR RawWebSockets",
    "Microsoft.SignalRService/signalR@2024-03-01 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.SignalRService/signalR@2024-03-01 properties.features.flag": (
        "ServiceMode EnableConnectivityLogs EnableMessagingLogs EnableLiveTrace"
    ),
    "Microsoft.SignalRService/signalR@2024-03-01 properties.features.value": "Serverless Default Classic",
    "Microsoft.SignalRService/webPubSub@2024-03-01 kind": "SocketIO WebPubSub",
    "Microsoft.SignalRService/webPubSub@2024-03-01 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.SignalRService/webPubSub@2024-03-01 properties.socketIO.serviceMode": "Default Serverless",
    "Microsoft.SignalRService/webPubSub/hubs@2024-03-01 properties.anonymousConnectPolicy": "allow deny",
    "Microsoft.Storage/storageAccounts@2025-08-01 kind": "StorageV2",
    "Microsoft.Storage/storageAccounts@2025-08-01 sku.name": "Standard_LRS Standard_ZRS",
    "Microsoft.Storage/storageAccounts@2025-08-01 properties.minimumTlsVersion": "TLS1_0 TLS1_1 TLS1_2",
    "Microsoft.Storage/storageAccounts@2025-08-01 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.Storage/storageAccounts/blobServices@2025-08-01 name": "default",
    "Microsoft.Web/sites@2025-03-01 identity.type": "UserAssigned SystemAssigned",
    "Microsoft.Web/sites@2025-03-01 properties.functionAppConfig.deployment.storage.type": "blobContainer",
    "Microsoft.Web/sites@2025-03-01 properties.functionAppConfig.deployment.storage.authentication.type": (
        "SystemAssignedIdentity UserAssignedIdentity StorageAccountConnectionString"
    ),
    "Microsoft.Web/sites@2025-03-01 properties.functionAppConfig.runtime.name": "python",
    "Microsoft.Web/sites@2025-03-01 properties.siteConfig.minTlsVersion": "1.0 1.1 1.2 1.3",
    "Microsoft.Web/sites/config@2025-03-01 name": "appsettings authsettingsV2",
    "Microsoft.Web/sites/config@2025-03-01 properties.globalValidation.unauthenticatedClientAction": (
        "RedirectToLoginPage AllowAnonymous Return401 Return403"
    ),
}

# Names: from the same definitions if they have a pattern, otherwise from
# learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules.
NAMES = {
    "Microsoft.CognitiveServices/accounts": r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,63}",
    "Microsoft.DocumentDB/databaseAccounts": r"[a-z0-9][a-z0-9-]{2,43}",
    "Microsoft.DurableTask/schedulers": r"[a-zA-Z0-9-]{3,64}",
    "Microsoft.DurableTask/schedulers/taskHubs": r"[a-zA-Z0-9-]{3,64}",
    "Microsoft.Insights/actionGroups": r"[\w().-]{1,260}",
    "Microsoft.Insights/components": r"[\w().-]{1,260}",
    "Microsoft.Insights/metricAlerts": r"[\w().-]{1,260}",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[a-zA-Z0-9][\w-]{2,127}",
    "Microsoft.Network/virtualNetworks": r"[a-zA-Z0-9][\w.-]{1,63}",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.Resources/resourceGroups": r"[\w().-]{1,90}",
    "Microsoft.SignalRService/signalR": r"[a-zA-Z][a-zA-Z0-9-]{1,61}[a-zA-Z0-9]",
    "Microsoft.SignalRService/webPubSub": r"[a-zA-Z][a-zA-Z0-9-]{1,61}[a-zA-Z0-9]",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Web/serverfarms": r"[a-zA-Z0-9-]{1,60}",
    "Microsoft.Web/sites": r"[a-zA-Z0-9][a-zA-Z0-9-]{0,58}[a-zA-Z0-9]",
}
# These names are unique worldwide, so they contain a hash of subscription, environment and region.
GLOBALLY_UNIQUE = {
    "Microsoft.CognitiveServices/accounts",
    "Microsoft.DocumentDB/databaseAccounts",
    "Microsoft.SignalRService/signalR",
    "Microsoft.SignalRService/webPubSub",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Web/sites",
}

# The target of a private endpoint, and the DNS zone with its address:
# learn.microsoft.com/azure/private-link/private-endpoint-dns. The scheduler is not in that list. Its zone comes
# from public templates, and its target from learn.microsoft.com/azure/durable-task/scheduler
# (durable-task-scheduler-private-endpoints).
PRIVATE_ZONES = {
    "blob": "privatelink.blob.${environment().suffixes.storage}",
    "queue": "privatelink.queue.${environment().suffixes.storage}",
    "table": "privatelink.table.${environment().suffixes.storage}",
    "Sql": "privatelink.documents.azure.com",
    "account": "privatelink.openai.azure.com",
    "scheduler": "privatelink.durabletask.io",
}

# github.com/Azure/azure-dev at ae35809f, schemas/v1.0/azure.yaml.json: the allowed keys of azure.yaml, so that a
# misspelt key fails. Before you add a key, check it in that schema.
AZD_KEYS = {
    *("name", "requiredVersions", "requiredVersions.azd", "services", "services.app"),
    *(f"services.app.{key}" for key in ("project", "language", "host", "hooks")),
    *(f"services.app.hooks.{when}package{key}" for when in ("pre", "post") for key in ("", ".shell", ".run")),
}
