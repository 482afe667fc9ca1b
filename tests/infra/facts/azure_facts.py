"""Facts about Azure that tests can't look up: settings, roles and properties, each table with its source."""

# Settings that the app's own code does not read, and the program that reads them.
PLATFORM_SETTINGS = {
    "AzureWebJobsStorage__accountName": "the Functions host: leases of timers; the Durable extension on azureStorage",
    "AzureWebJobsStorage__credential": "the Functions host: no keys",
    "AzureWebJobsStorage__clientId": "the Functions host: which identity",
    "COSMOS__accountEndpoint": "the change-feed triggers: their connection is named COSMOS",
    "COSMOS__credential": "the change-feed triggers: no keys",
    "COSMOS__clientId": "the change-feed triggers: which identity",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "the Functions host as well: where telemetry goes",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "the Functions host and the exporter: with Entra ID",
    "AZURE_CLIENT_ID": "DefaultAzureCredential: which user-assigned identity",
    "AzureWebJobsDisableHomepage": "the Functions host: leaves / to the app",
    "PYTHON_ENABLE_INIT_INDEXING": "the Python worker up to 3.12: needed for streams",
    "PYTHON_ENABLE_OPENTELEMETRY": "the Python worker: passes on the host's trace, and leaves log lines to the app",
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING": "the Durable SDK",
    "SIGNALR__serviceUri": "the SignalR extension: where the output binding sends",
    "SIGNALR__credential": "the SignalR extension: no keys",
    "SIGNALR__clientId": "the SignalR extension: which identity",
    "DURABLE_TASK_SCHEDULER_CONNECTION_STRING": "the Durable extension on azureManaged",
    "AzureFunctionsJobHost__extensions__durableTask__storageProvider__type": "the Functions host: overrides host.json",
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

# learn.microsoft.com/azure/role-based-access-control/built-in-roles. dataContributor and dataReader are of Cosmos DB:
# learn.microsoft.com/azure/cosmos-db/nosql/reference-data-plane-security. Keys are the names of variables.
ROLES = {
    "blobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "queueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "tableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "openaiUser": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
    "metricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "durableTaskDataContributor": "0ad04412-c4d5-4796-b79c-f76d14c8d402",
    "signalrServiceOwner": "7e4f1700-ea5a-4f59-8f37-079cfe29dce3",
    "webPubSubServiceOwner": "12cf5a90-567b-43ae-8102-96cf46c7d9b4",
    "dataContributor": "00000000-0000-0000-0000-000000000002",
    "blobDataReader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "queueDataReader": "19e7f393-937e-4f77-808e-94535e297925",
    "tableDataReader": "76199698-9eea-4c19-bc75-cec21354c6b6",
    "durableTaskDataReader": "d6a5505f-6ebb-45a4-896e-ac8274cfc0ac",
    "dataReader": "00000000-0000-0000-0000-000000000001",
}

# Writable properties, from the source that api_versions.py names. Only properties in use are listed, so that a misspelt
# one fails. Before you add a property, check it in that source.
PROPERTIES = {
    "Microsoft.Authorization/roleAssignments@2022-04-01": "roleDefinitionId principalId principalType",
    "Microsoft.CognitiveServices/accounts@2026-03-01": "customSubDomainName disableLocalAuth publicNetworkAccess",
    "Microsoft.CognitiveServices/accounts/deployments@2026-03-01": "model model.format model.name model.version",
    "Microsoft.DocumentDB/databaseAccounts@2025-10-15": "databaseAccountOfferType consistencyPolicy "
    "consistencyPolicy.defaultConsistencyLevel locations locations.locationName locations.failoverPriority "
    "locations.isZoneRedundant enableMultipleWriteLocations enableFreeTier publicNetworkAccess capabilities "
    "capabilities.name disableLocalAuth "
    "disableKeyBasedMetadataWriteAccess minimalTlsVersion backupPolicy backupPolicy.type "
    "backupPolicy.continuousModeProperties backupPolicy.continuousModeProperties.tier",
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2025-10-15": "resource resource.id options "
    "options.autoscaleSettings options.autoscaleSettings.maxThroughput",
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-10-15": "resource resource.id "
    "resource.partitionKey resource.partitionKey.paths resource.partitionKey.kind resource.partitionKey.version "
    "resource.defaultTtl resource.indexingPolicy",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-10-15": "",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-10-15": "roleDefinitionId principalId scope",
    "Microsoft.DurableTask/schedulers@2026-02-01": "sku sku.name sku.capacity ipAllowlist publicNetworkAccess",
    "Microsoft.DurableTask/schedulers/taskHubs@2026-02-01": "",
    "Microsoft.Insights/actionGroups@2023-01-01": "groupShortName enabled emailReceivers emailReceivers.name "
    "emailReceivers.emailAddress emailReceivers.useCommonAlertSchema",
    "Microsoft.Insights/components@2020-02-02": "Application_Type WorkspaceResourceId DisableLocalAuth",
    "Microsoft.Insights/workbooks@2023-06-01": "displayName category sourceId serializedData version",
    "Microsoft.Insights/metricAlerts@2026-01-01": "description severity enabled scopes evaluationFrequency windowSize "
    "autoMitigate actions actions.actionGroupId criteria criteria.odata.type criteria.allOf criteria.allOf.name "
    "criteria.allOf.criterionType criteria.allOf.metricNamespace criteria.allOf.metricName criteria.allOf.dimensions "
    "criteria.allOf.dimensions.name criteria.allOf.dimensions.operator criteria.allOf.dimensions.values "
    "criteria.allOf.timeAggregation criteria.allOf.operator criteria.allOf.threshold",
    "Microsoft.Insights/scheduledQueryRules@2026-03-01": "displayName description severity enabled scopes "
    "evaluationFrequency windowSize skipQueryValidation autoMitigate actions actions.actionGroups criteria "
    "criteria.allOf criteria.allOf.query criteria.allOf.metricMeasureColumn criteria.allOf.timeAggregation "
    "criteria.allOf.operator "
    "criteria.allOf.threshold criteria.allOf.failingPeriods criteria.allOf.failingPeriods.numberOfEvaluationPeriods "
    "criteria.allOf.failingPeriods.minFailingPeriodsToAlert",
    "Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30": "",
    "Microsoft.Network/privateDnsZones@2024-06-01": "",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01": "registrationEnabled virtualNetwork "
    "virtualNetwork.id",
    "Microsoft.Network/privateEndpoints@2025-05-01": "subnet subnet.id privateLinkServiceConnections "
    "privateLinkServiceConnections.name privateLinkServiceConnections.properties "
    "privateLinkServiceConnections.properties.groupIds privateLinkServiceConnections.properties.privateLinkServiceId",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01": "privateDnsZoneConfigs "
    "privateDnsZoneConfigs.name privateDnsZoneConfigs.properties privateDnsZoneConfigs.properties.privateDnsZoneId",
    "Microsoft.Network/virtualNetworks@2025-05-01": "addressSpace addressSpace.addressPrefixes subnets subnets.name "
    "subnets.properties subnets.properties.addressPrefix subnets.properties.delegations "
    "subnets.properties.delegations.name subnets.properties.delegations.properties "
    "subnets.properties.delegations.properties.serviceName",
    "Microsoft.Network/virtualNetworks/subnets@2025-05-01": "",
    "Microsoft.OperationalInsights/workspaces@2025-07-01": "sku sku.name retentionInDays workspaceCapping "
    "workspaceCapping.dailyQuotaGb",
    "Microsoft.Resources/resourceGroups@2025-04-01": "",
    "Microsoft.SignalRService/signalR@2024-03-01": "disableLocalAuth publicNetworkAccess features features.flag "
    "features.value cors cors.allowedOrigins",
    "Microsoft.SignalRService/webPubSub@2024-03-01": "disableLocalAuth publicNetworkAccess socketIO "
    "socketIO.serviceMode",
    "Microsoft.SignalRService/webPubSub/hubs@2024-03-01": "anonymousConnectPolicy eventHandlers "
    "eventHandlers.urlTemplate eventHandlers.systemEvents eventHandlers.userEventPattern",
    "Microsoft.Storage/storageAccounts@2025-08-01": "allowBlobPublicAccess allowSharedKeyAccess "
    "defaultToOAuthAuthentication minimumTlsVersion supportsHttpsTrafficOnly publicNetworkAccess",
    "Microsoft.Storage/storageAccounts/blobServices@2025-08-01": "",
    "Microsoft.Storage/storageAccounts/blobServices/containers@2025-08-01": "",
    "Microsoft.Web/serverfarms@2025-03-01": "reserved zoneRedundant",
    "Microsoft.Web/sites@2025-03-01": "serverFarmId httpsOnly virtualNetworkSubnetId functionAppConfig "
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
    "siteConfig.http20Enabled siteConfig.cors siteConfig.cors.allowedOrigins",
    "Microsoft.Web/sites/config@2025-03-01": "platform platform.enabled globalValidation "
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
# Properties that the templates read, from the same source.
READABLE = {
    "Microsoft.CognitiveServices/accounts": "customSubDomainName",
    "Microsoft.DocumentDB/databaseAccounts": "documentEndpoint",
    "Microsoft.DurableTask/schedulers": "endpoint",
    "Microsoft.Insights/components": "ConnectionString",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "clientId principalId",
    "Microsoft.SignalRService/signalR": "hostName",
    "Microsoft.SignalRService/webPubSub": "hostName",
    "Microsoft.Storage/storageAccounts": "primaryEndpoints.blob",
    "Microsoft.Web/sites": "defaultHostName",
}
ENVELOPE = {
    *("name", "parent", "scope", "location", "tags", "tags.azd-service-name", "kind", "dependsOn", "properties"),
    *("sku", "sku.name", "sku.tier", "sku.capacity"),
    *("identity", "identity.type", "identity.userAssignedIdentities", "identity.userAssignedIdentities.*"),
}

# Required values, by file, resource and property, each with its reason.
REQUIRED = {
    ("storage", "account", "allowSharedKeyAccess"): (False, "no keys"),
    ("storage", "account", "allowBlobPublicAccess"): (False, "nothing public"),
    ("cosmos", "account", "disableLocalAuth"): (True, "no keys"),
    ("cosmos", "account", "consistencyPolicy.defaultConsistencyLevel"): ("Strong", "decisions read the newest state"),
    ("cosmos", "account", "enableMultipleWriteLocations"): (False, "one writer wins a sequence"),
    ("cosmos", "items", "resource.partitionKey.version"): (2, "version 1 hashes 101 bytes"),
    ("cosmos", "items", "resource.partitionKey.kind"): ("Hash", "the only kind for one path"),
    ("monitoring", "insights", "DisableLocalAuth"): (True, "no keys"),
    ("openai", "account", "disableLocalAuth"): (True, "no keys"),
    ("signalr", "service", "disableLocalAuth"): (True, "no keys"),
    # learn.microsoft.com/azure/azure-web-pubsub, howto-disable-local-auth.
    ("socketio", "service", "disableLocalAuth"): (False, "without keys the service signs no events"),
    ("socketio", "service", "socketIO.serviceMode"): ("Serverless", "the other mode needs a server that is always up"),
    ("websocket", "service", "disableLocalAuth"): (True, "no keys"),
    ("hub", "hub", "anonymousConnectPolicy"): ("deny", "clients come with a token of the app"),
    ("app", "site", "httpsOnly"): (True, "no plain text"),
    # Flex Consumption refuses some properties of siteConfig (error 51021), but not this one: an acceptance test of
    # github.com/hashicorp/terraform-provider-azurerm creates such an app with it
    # (internal/services/appservice/function_app_flex_consumption_resource_test.go, `complete`).
    ("app", "site", "siteConfig.http20Enabled"): (True, "six open streams would block a browser"),
    ("app", "site", "functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurrency"): (
        100,
        "Python's default is 1, so every open stream would need an instance",
    ),
    ("app", "authentication", "globalValidation.requireAuthentication"): (True, "callers sign in"),
    ("app", "authentication", "globalValidation.unauthenticatedClientAction"): (
        "Return401",
        "an API does not redirect",
    ),
}
