// The function app on Flex Consumption: its instances, its settings, who may call it.
param name string
param planName string
param location string
param tags object
param pythonVersion string
param alwaysReadyHttp int
param alwaysReadyDurable int
param maximumInstances int
param instanceMemory int
param identityId string
param clientId string
param deploymentContainer string
param blobEndpoint string
param queueEndpoint string
param tableEndpoint string
param insightsConnectionString string
param cosmosEndpoint string
param cosmosDatabase string
param taskHub string
param schedulerEndpoint string
param openaiBaseUrl string

@secure()
param openaiApiKey string
param model string
param allowedModels string
param authClientId string
param corsOrigins string

var alwaysReady = [
  { name: 'http', instanceCount: alwaysReadyHttp }
  { name: 'durable', instanceCount: alwaysReadyDurable }
]

var platformSettings = {
  AzureWebJobsStorage__blobServiceUri: blobEndpoint
  AzureWebJobsStorage__queueServiceUri: queueEndpoint
  AzureWebJobsStorage__tableServiceUri: tableEndpoint
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: clientId
  COSMOS__accountEndpoint: cosmosEndpoint
  COSMOS__credential: 'managedidentity'
  COSMOS__clientId: clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${clientId};Authorization=AAD'
  AZURE_CLIENT_ID: clientId
  AzureWebJobsDisableHomepage: 'true'
  PYTHON_ENABLE_INIT_INDEXING: '1'
  AZURE_FUNCTIONS_DURABLE_STRICT_TYPING: '1'
}

var ownSettings = {
  COSMOS_ENDPOINT: cosmosEndpoint
  COSMOS_DATABASE: cosmosDatabase
  OPENAI_BASE_URL: openaiBaseUrl
  MODEL: model
  ALLOWED_MODELS: allowedModels
  AUTH_MODE: 'easyauth'
  TASKHUB_NAME: taskHub
}

var keySettings = empty(openaiApiKey) ? {} : { OPENAI_API_KEY: openaiApiKey }

// Over host.json, which names azureStorage.
var schedulerSettings = empty(schedulerEndpoint)
  ? {}
  : {
      DURABLE_TASK_SCHEDULER_CONNECTION_STRING: 'Endpoint=${schedulerEndpoint};Authentication=ManagedIdentity;ClientID=${clientId}'
      AzureFunctionsJobHost__extensions__durableTask__storageProvider__type: 'azureManaged'
      AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName: 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING'
    }

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource site 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: deploymentContainer
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      runtime: { name: 'python', version: pythonVersion }
      scaleAndConcurrency: {
        alwaysReady: filter(alwaysReady, group => group.instanceCount > 0)
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: maximumInstances
        // Python's default is 1: an instance for every open stream.
        triggers: { http: { perInstanceConcurrency: 100 } }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      cors: { allowedOrigins: empty(corsOrigins) ? [] : split(corsOrigins, ',') }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: site
  name: 'appsettings'
  properties: union(platformSettings, ownSettings, keySettings, schedulerSettings)
}

// Without it WEBSITE_AUTH_ENABLED is not set, and the app answers 401 to everyone.
resource authentication 'Microsoft.Web/sites/config@2024-04-01' = if (!empty(authClientId)) {
  parent: site
  name: 'authsettingsV2'
  properties: {
    platform: { enabled: true }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      excludedPaths: ['/health', '/ready']
    }
    httpSettings: { requireHttps: true }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: authClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: { allowedAudiences: [authClientId, 'api://${authClientId}'] }
      }
    }
    login: { tokenStore: { enabled: false } }
  }
}

output url string = 'https://${site.properties.defaultHostName}'
