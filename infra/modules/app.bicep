// The function app on Flex Consumption: its instances, its settings, who may call it.

import { Tags } from 'types.bicep'

param name string
param planName string
param location string
param tags Tags
param pythonVersion string
param alwaysReadyHttp int
param alwaysReadyDurable int
param alwaysReadyRooms int
param maximumInstances int
param instanceMemory int
param zoneRedundant bool
param subnetId string
param identityId string
param clientId string
param deploymentContainer string
param storageName string
param insightsConnectionString string
param cosmosEndpoint string
param cosmosDatabase string
param signalrEndpoint string
param socketioEndpoint string
param socketioId string
param socketioHub string
param websocketEndpoint string
param taskHub string
param schedulerEndpoint string
param openaiBaseUrl string

@secure()
param openaiApiKey string

@secure()
param ticketKey string
param model string
param allowedModels string
param authMode string
param jwtIssuer string
param jwtAudience string
param jwtJwksUrl string
param authClientId string
param authAllowedClients string
param corsOrigins string

// Across zones a group has two instances that are always ready, or none.
var fewestReady = zoneRedundant ? 2 : 1
var alwaysReady = [
  { name: 'http', instanceCount: alwaysReadyHttp == 0 ? 0 : max(alwaysReadyHttp, fewestReady) }
  { name: 'durable', instanceCount: alwaysReadyDurable == 0 ? 0 : max(alwaysReadyDurable, fewestReady) }
  // Each function that is neither HTTP nor Durable is a group of its own, by name.
  { name: 'function:write_rooms', instanceCount: alwaysReadyRooms == 0 ? 0 : max(alwaysReadyRooms, fewestReady) }
]

var platformSettings = {
  // The account's name instead of the services' addresses: with addresses the host may fail to start
  // (azure-functions-host#11787).
  AzureWebJobsStorage__accountName: storageName
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
  PYTHON_ENABLE_OPENTELEMETRY: 'true'
  AZURE_FUNCTIONS_DURABLE_STRICT_TYPING: '1'
}

var ownSettings = {
  COSMOS_ENDPOINT: cosmosEndpoint
  COSMOS_DATABASE: cosmosDatabase
  OPENAI_BASE_URL: openaiBaseUrl
  MODEL: model
  ALLOWED_MODELS: allowedModels
  AUTH_MODE: authMode
  TICKET_KEY: ticketKey
  TASKHUB_NAME: taskHub
}

var keySettings = empty(openaiApiKey) ? {} : { OPENAI_API_KEY: openaiApiKey }

var jwtSettings = authMode == 'jwt'
  ? {
      JWT_ISSUER: jwtIssuer
      JWT_AUDIENCE: jwtAudience
      JWT_JWKS_URL: jwtJwksUrl
    }
  : {}

// The app, which admits clients, and the output binding, which sends to them, read different names.
var signalrSettings = empty(signalrEndpoint)
  ? {}
  : {
      SIGNALR_ENDPOINT: signalrEndpoint
      SIGNALR__serviceUri: signalrEndpoint
      SIGNALR__credential: 'managedidentity'
      SIGNALR__clientId: clientId
    }

// The keys are read here, so that no output and no parameter has them. Bicep puts the call where the variable is used, so
// it is made only if there is a service.
var socketioKeys = listKeys(socketioId, '2024-03-01')
var socketioSettings = empty(socketioEndpoint)
  ? {}
  : {
      SOCKETIO_ENDPOINT: socketioEndpoint
      SOCKETIO_HUB: socketioHub
      SOCKETIO_ACCESS_KEYS: '${socketioKeys.primaryKey},${socketioKeys.secondaryKey}'
    }

var websocketSettings = empty(websocketEndpoint) ? {} : { WEBSOCKET_ENDPOINT: websocketEndpoint }

// These override host.json, which names azureStorage.
var schedulerSettings = empty(schedulerEndpoint)
  ? {}
  : {
      DURABLE_TASK_SCHEDULER_CONNECTION_STRING: 'Endpoint=${schedulerEndpoint};Authentication=ManagedIdentity;ClientID=${clientId}'
      AzureFunctionsJobHost__extensions__durableTask__storageProvider__type: 'azureManaged'
      AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName: 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING'
    }

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true, zoneRedundant: zoneRedundant }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'app' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
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
        // Python's default is 1: each open stream would need an instance.
        triggers: { http: { perInstanceConcurrency: 100 } }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      // Over HTTP/1.1 a browser opens six connections to the app: six open streams, and every other request waits.
      http20Enabled: true
      cors: { allowedOrigins: empty(corsOrigins) ? [] : split(corsOrigins, ',') }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: site
  name: 'appsettings'
  properties: union(
    platformSettings,
    ownSettings,
    keySettings,
    jwtSettings,
    signalrSettings,
    socketioSettings,
    websocketSettings,
    schedulerSettings
  )
}

// If AUTH_MODE is easyauth and this is missing, WEBSITE_AUTH_ENABLED is not set, and the app answers 401 to everyone.
resource authentication 'Microsoft.Web/sites/config@2025-03-01' = if (authMode == 'easyauth' && !empty(authClientId)) {
  parent: site
  name: 'authsettingsV2'
  // The site takes one change at a time.
  dependsOn: [settings]
  properties: {
    platform: { enabled: true }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      // Exact paths: a pattern would also open what is added below it. These return no data: the app's state and the
      // API's description. Web PubSub signs what it sends to /socketio/events. A deployment calls the last one to
      // register its triggers. The host itself requires the platform's signature or the master key there.
      excludedPaths: [
        '/health'
        '/ready'
        '/socketio/events'
        '/api/openapi.json'
        '/api/docs'
        '/api/docs/docs.js'
        '/api/docs/swagger-ui-bundle.js'
        '/api/docs/swagger-ui.css'
        '/admin/host/synctriggers'
      ]
    }
    httpSettings: { requireHttps: true }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: authClientId
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: union(
          { allowedAudiences: [authClientId, 'api://${authClientId}'] },
          // Without a list every application of the tenant that gets a token may call.
          empty(authAllowedClients)
            ? {}
            : { defaultAuthorizationPolicy: { allowedApplications: split(authAllowedClients, ',') } }
        )
      }
    }
    login: { tokenStore: { enabled: false } }
  }
}

@description('The base URL of the app.')
output url string = 'https://${site.properties.defaultHostName}'
