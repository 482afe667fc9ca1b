"""What is known about Azure and can't be asked here, each table with its source."""

# Names that the app's own code does not read, and who does.
PLATFORM_SETTINGS = {
    "AzureWebJobsStorage__accountName": "the Functions host: leases of timers; the Durable extension on azureStorage",
    "AzureWebJobsStorage__credential": "the Functions host: no keys",
    "AzureWebJobsStorage__clientId": "the Functions host: which identity",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "the Functions host: where telemetry goes",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "the Functions host: telemetry with Entra ID",
    "AZURE_CLIENT_ID": "DefaultAzureCredential: which user-assigned identity",
    "AzureWebJobsDisableHomepage": "the Functions host: leaves / to the app",
    "PYTHON_ENABLE_INIT_INDEXING": "the Python worker up to 3.12: needed for streams",
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING": "the Durable SDK",
    "DURABLE_TASK_SCHEDULER_CONNECTION_STRING": "the Durable extension on azureManaged",
    "AzureFunctionsJobHost__extensions__durableTask__storageProvider__type": "the Functions host: over host.json",
    "AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName": "as before",
}

# learn.microsoft.com/azure/azure-functions/functions-app-settings, "Flex Consumption plan deprecations".
FORBIDDEN_ON_FLEX = (
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_EXTENSION_VERSION",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_CONTENT",
    "linuxFxVersion",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD",
)

# learn.microsoft.com/azure/role-based-access-control/built-in-roles; the last one of Cosmos DB's own roles:
# learn.microsoft.com/azure/cosmos-db/nosql/reference-data-plane-security. Keys are the names of variables.
ROLES = {
    "blobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "queueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "tableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "openaiUser": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
    "metricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "durableTaskDataContributor": "0ad04412-c4d5-4796-b79c-f76d14c8d402",
    "dataContributor": "00000000-0000-0000-0000-000000000002",
    "blobDataReader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "queueDataReader": "19e7f393-937e-4f77-808e-94535e297925",
    "tableDataReader": "76199698-9eea-4c19-bc75-cec21354c6b6",
    "durableTaskDataReader": "d6a5505f-6ebb-45a4-896e-ac8274cfc0ac",
    "dataReader": "00000000-0000-0000-0000-000000000001",
}

# github.com/Azure/bicep-types-az at 1f896de2 (20 August 2026), generated/*/types.json: writable properties. Only those
# in use, so that a misspelt one fails; a new one is to be looked up there before it is added.
PROPERTIES = {
    "Microsoft.Authorization/roleAssignments@2022-04-01": "roleDefinitionId principalId principalType",
    "Microsoft.CognitiveServices/accounts@2025-10-01-preview": "customSubDomainName disableLocalAuth "
    "publicNetworkAccess",
    "Microsoft.CognitiveServices/accounts/deployments@2024-10-01": "model model.format model.name model.version",
    "Microsoft.DocumentDB/databaseAccounts@2024-05-15": "databaseAccountOfferType consistencyPolicy "
    "consistencyPolicy.defaultConsistencyLevel locations locations.locationName locations.failoverPriority "
    "locations.isZoneRedundant enableMultipleWriteLocations enableFreeTier publicNetworkAccess capabilities "
    "capabilities.name disableLocalAuth "
    "disableKeyBasedMetadataWriteAccess minimalTlsVersion backupPolicy backupPolicy.type "
    "backupPolicy.continuousModeProperties backupPolicy.continuousModeProperties.tier",
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2024-11-15": "resource resource.id options "
    "options.autoscaleSettings options.autoscaleSettings.maxThroughput",
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2024-11-15": "resource resource.id "
    "resource.partitionKey resource.partitionKey.paths resource.partitionKey.kind resource.partitionKey.version "
    "resource.defaultTtl resource.indexingPolicy",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2024-11-15": "roleDefinitionId principalId scope",
    "Microsoft.DurableTask/schedulers@2026-02-01": "sku sku.name sku.capacity ipAllowlist publicNetworkAccess",
    "Microsoft.DurableTask/schedulers/taskHubs@2026-02-01": "",
    "Microsoft.Insights/actionGroups@2023-01-01": "groupShortName enabled emailReceivers emailReceivers.name "
    "emailReceivers.emailAddress emailReceivers.useCommonAlertSchema",
    "Microsoft.Insights/components@2020-02-02": "Application_Type WorkspaceResourceId DisableLocalAuth",
    "Microsoft.Insights/metricAlerts@2018-03-01": "description severity enabled scopes evaluationFrequency windowSize "
    "autoMitigate actions actions.actionGroupId criteria criteria.odata.type criteria.allOf criteria.allOf.name "
    "criteria.allOf.criterionType criteria.allOf.metricNamespace criteria.allOf.metricName criteria.allOf.dimensions "
    "criteria.allOf.dimensions.name criteria.allOf.dimensions.operator criteria.allOf.dimensions.values "
    "criteria.allOf.timeAggregation criteria.allOf.operator criteria.allOf.threshold",
    "Microsoft.Insights/scheduledQueryRules@2023-12-01": "displayName description severity enabled scopes "
    "evaluationFrequency windowSize skipQueryValidation autoMitigate actions actions.actionGroups criteria "
    "criteria.allOf criteria.allOf.query criteria.allOf.metricMeasureColumn criteria.allOf.timeAggregation "
    "criteria.allOf.operator "
    "criteria.allOf.threshold criteria.allOf.failingPeriods criteria.allOf.failingPeriods.numberOfEvaluationPeriods "
    "criteria.allOf.failingPeriods.minFailingPeriodsToAlert",
    "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31": "",
    "Microsoft.Network/privateDnsZones@2024-06-01": "",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01": "registrationEnabled virtualNetwork "
    "virtualNetwork.id",
    "Microsoft.Network/privateEndpoints@2024-10-01": "subnet subnet.id privateLinkServiceConnections "
    "privateLinkServiceConnections.name privateLinkServiceConnections.properties "
    "privateLinkServiceConnections.properties.groupIds privateLinkServiceConnections.properties.privateLinkServiceId",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-10-01": "privateDnsZoneConfigs "
    "privateDnsZoneConfigs.name privateDnsZoneConfigs.properties privateDnsZoneConfigs.properties.privateDnsZoneId",
    "Microsoft.Network/virtualNetworks@2024-10-01": "addressSpace addressSpace.addressPrefixes subnets subnets.name "
    "subnets.properties subnets.properties.addressPrefix subnets.properties.delegations "
    "subnets.properties.delegations.name subnets.properties.delegations.properties "
    "subnets.properties.delegations.properties.serviceName",
    "Microsoft.OperationalInsights/workspaces@2023-09-01": "sku sku.name retentionInDays workspaceCapping "
    "workspaceCapping.dailyQuotaGb",
    "Microsoft.Resources/resourceGroups@2021-04-01": "",
    "Microsoft.Storage/storageAccounts@2023-01-01": "allowBlobPublicAccess allowSharedKeyAccess "
    "defaultToOAuthAuthentication minimumTlsVersion supportsHttpsTrafficOnly publicNetworkAccess",
    "Microsoft.Storage/storageAccounts/blobServices@2023-01-01": "",
    "Microsoft.Storage/storageAccounts/blobServices/containers@2023-01-01": "",
    "Microsoft.Web/serverfarms@2024-04-01": "reserved zoneRedundant",
    "Microsoft.Web/sites@2024-04-01": "serverFarmId httpsOnly virtualNetworkSubnetId functionAppConfig "
    "functionAppConfig.deployment "
    "functionAppConfig.deployment.storage functionAppConfig.deployment.storage.type "
    "functionAppConfig.deployment.storage.value functionAppConfig.deployment.storage.authentication "
    "functionAppConfig.deployment.storage.authentication.type "
    "functionAppConfig.deployment.storage.authentication.userAssignedIdentityResourceId functionAppConfig.runtime "
    "functionAppConfig.runtime.name functionAppConfig.runtime.version functionAppConfig.scaleAndConcurrency "
    "functionAppConfig.scaleAndConcurrency.alwaysReady functionAppConfig.scaleAndConcurrency.instanceMemoryMB "
    "functionAppConfig.scaleAndConcurrency.maximumInstanceCount functionAppConfig.scaleAndConcurrency.triggers "
    "functionAppConfig.scaleAndConcurrency.triggers.http "
    "functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurrency siteConfig siteConfig.minTlsVersion "
    "siteConfig.cors siteConfig.cors.allowedOrigins",
    "Microsoft.Web/sites/config@2024-04-01": "platform platform.enabled globalValidation "
    "globalValidation.requireAuthentication globalValidation.unauthenticatedClientAction "
    "globalValidation.excludedPaths httpSettings httpSettings.requireHttps identityProviders "
    "identityProviders.azureActiveDirectory identityProviders.azureActiveDirectory.enabled "
    "identityProviders.azureActiveDirectory.registration identityProviders.azureActiveDirectory.registration.clientId "
    "identityProviders.azureActiveDirectory.registration.openIdIssuer "
    "identityProviders.azureActiveDirectory.validation "
    "identityProviders.azureActiveDirectory.validation.allowedAudiences "
    "identityProviders.azureActiveDirectory.validation.defaultAuthorizationPolicy "
    "identityProviders.azureActiveDirectory.validation.defaultAuthorizationPolicy.allowedApplications "
    "login login.tokenStore login.tokenStore.enabled",
}
ENVELOPE = {
    *("name", "parent", "scope", "location", "tags", "tags.azd-service-name", "kind", "dependsOn", "properties"),
    *("sku", "sku.name", "sku.tier", "sku.capacity"),
    *("identity", "identity.type", "identity.userAssignedIdentities", "identity.userAssignedIdentities.*"),
}

# What must be said, by file, resource and property; the sentence is the reason.
REQUIRED = {
    ("storage", "account", "allowSharedKeyAccess"): (False, "no keys"),
    ("storage", "account", "allowBlobPublicAccess"): (False, "nothing public"),
    ("cosmos", "account", "disableLocalAuth"): (True, "no keys"),
    ("cosmos", "account", "consistencyPolicy.defaultConsistencyLevel"): ("Strong", "decisions read the newest"),
    ("cosmos", "account", "enableMultipleWriteLocations"): (False, "one writer wins a place"),
    ("cosmos", "items", "resource.partitionKey.version"): (2, "version 1 hashes 101 bytes"),
    ("cosmos", "items", "resource.partitionKey.kind"): ("Hash", "as in containers.py"),
    ("monitoring", "insights", "DisableLocalAuth"): (True, "no keys"),
    ("openai", "account", "disableLocalAuth"): (True, "no keys"),
    ("app", "site", "httpsOnly"): (True, "no plain text"),
    ("app", "site", "functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurrency"): (
        100,
        "Python's default is 1: an instance for every open stream",
    ),
    ("app", "authentication", "globalValidation.requireAuthentication"): (True, "callers sign in"),
    ("app", "authentication", "globalValidation.unauthenticatedClientAction"): ("Return401", "an API redirects no one"),
}

# The same definitions: what a property or a name may be, for those with a closed list or a pattern. By type and path.
VALUES = {
    "Microsoft.Authorization/roleAssignments@2022-04-01 properties.principalType": "ServicePrincipal",
    "Microsoft.CognitiveServices/accounts@2025-10-01-preview properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.DocumentDB/databaseAccounts@2024-05-15 kind": "GlobalDocumentDB MongoDB Parse",
    "Microsoft.DocumentDB/databaseAccounts@2024-05-15 properties.databaseAccountOfferType": "Standard",
    "Microsoft.DocumentDB/databaseAccounts@2024-05-15 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.DocumentDB/databaseAccounts@2024-05-15 properties.minimalTlsVersion": "Tls Tls11 Tls12",
    "Microsoft.DocumentDB/databaseAccounts@2024-05-15 properties.backupPolicy.type": "Continuous Periodic",
    "Microsoft.DocumentDB/databaseAccounts@2024-05-15 properties.backupPolicy.continuousModeProperties.tier": (
        "Continuous7Days Continuous30Days"
    ),
    "Microsoft.DurableTask/schedulers@2026-02-01 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.Insights/components@2020-02-02 properties.Application_Type": "web other",
    "Microsoft.Insights/metricAlerts@2018-03-01 properties.criteria.odata.type": (
        "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
    ),
    "Microsoft.Insights/metricAlerts@2018-03-01 properties.criteria.allOf.criterionType": "StaticThresholdCriterion",
    "Microsoft.Insights/metricAlerts@2018-03-01 properties.criteria.allOf.operator": (
        "Equals GreaterThan GreaterThanOrEqual LessThan LessThanOrEqual"
    ),
    "Microsoft.Insights/metricAlerts@2018-03-01 properties.criteria.allOf.timeAggregation": (
        "Average Count Minimum Maximum Total"
    ),
    "Microsoft.Insights/scheduledQueryRules@2023-12-01 properties.criteria.allOf.operator": (
        "Equals GreaterThan GreaterThanOrEqual LessThan LessThanOrEqual"
    ),
    "Microsoft.Insights/scheduledQueryRules@2023-12-01 properties.criteria.allOf.timeAggregation": (
        "Count Average Minimum Maximum Total"
    ),
    "Microsoft.OperationalInsights/workspaces@2023-09-01 properties.sku.name": "PerGB2018 CapacityReservation",
    "Microsoft.Storage/storageAccounts@2023-01-01 kind": "StorageV2",
    "Microsoft.Storage/storageAccounts@2023-01-01 sku.name": "Standard_LRS Standard_ZRS",
    "Microsoft.Storage/storageAccounts@2023-01-01 properties.minimumTlsVersion": "TLS1_0 TLS1_1 TLS1_2",
    "Microsoft.Storage/storageAccounts@2023-01-01 properties.publicNetworkAccess": "Enabled Disabled",
    "Microsoft.Storage/storageAccounts/blobServices@2023-01-01 name": "default",
    "Microsoft.Web/sites@2024-04-01 identity.type": "UserAssigned SystemAssigned",
    "Microsoft.Web/sites@2024-04-01 properties.functionAppConfig.deployment.storage.type": "blobContainer",
    "Microsoft.Web/sites@2024-04-01 properties.functionAppConfig.deployment.storage.authentication.type": (
        "SystemAssignedIdentity UserAssignedIdentity StorageAccountConnectionString"
    ),
    "Microsoft.Web/sites@2024-04-01 properties.functionAppConfig.runtime.name": "python",
    "Microsoft.Web/sites@2024-04-01 properties.siteConfig.minTlsVersion": "1.0 1.1 1.2 1.3",
    "Microsoft.Web/sites/config@2024-04-01 name": "appsettings authsettingsV2",
    "Microsoft.Web/sites/config@2024-04-01 properties.globalValidation.unauthenticatedClientAction": (
        "RedirectToLoginPage AllowAnonymous Return401 Return403"
    ),
}

# Names: the same definitions where they have a pattern, else
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
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Web/serverfarms": r"[a-zA-Z0-9-]{1,60}",
    "Microsoft.Web/sites": r"[a-zA-Z0-9][a-zA-Z0-9-]{0,58}[a-zA-Z0-9]",
}
# The world has one of each name: they hold a hash of subscription, environment and region.
UNIQUE_IN_THE_WORLD = {
    "Microsoft.CognitiveServices/accounts",
    "Microsoft.DocumentDB/databaseAccounts",
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Web/sites",
}

# What a private endpoint leads to, and the zone that holds its address:
# learn.microsoft.com/azure/private-link/private-endpoint-dns. That of the scheduler is in no list yet; it is as in
# public templates for it, its part as in learn.microsoft.com/azure/durable-task/scheduler
# (durable-task-scheduler-private-endpoints).
PRIVATE_ZONES = {
    "blob": "privatelink.blob.${environment().suffixes.storage}",
    "queue": "privatelink.queue.${environment().suffixes.storage}",
    "table": "privatelink.table.${environment().suffixes.storage}",
    "Sql": "privatelink.documents.azure.com",
    "account": "privatelink.openai.azure.com",
    "scheduler": "privatelink.durabletask.io",
}

# github.com/Azure/azure-dev at ae35809f, schemas/v1.0/azure.yaml.json: what azure.yaml may say, of that which it does.
AZD_KEYS = {"name", "requiredVersions", "requiredVersions.azd", "services", "services.app"} | {
    f"services.app.{key}" for key in ("project", "language", "host")
}
