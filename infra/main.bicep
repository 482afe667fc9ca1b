// All of Turnlog in one resource group: what `azd up` provisions. docs/run/deploy.md explains the parameters.
targetScope = 'subscription'

@minLength(1)
@maxLength(64)
@description('Name of the azd environment; the resource group and the tags carry it.')
param environmentName string

@minLength(1)
@description('Region of everything.')
param location string

@allowed(['3.12', '3.13'])
@description('Python of the app.')
param pythonVersion string = '3.13'

@description('HTTP instances that are always up; 0 starts cold and costs nothing when idle.')
@minValue(0)
param alwaysReadyHttp int = 0

@description('Instances for turns that are always up.')
@minValue(0)
param alwaysReadyDurable int = 0

@minValue(0)
@description('Instances for the function that writes rooms, always up; with 0 its cold start may delay them.')
param alwaysReadyRooms int = 0

@minValue(1)
@maxValue(1000)
@description('The maximum number of instances.')
param maximumInstances int = 100

@allowed([512, 2048, 4096])
@description('Memory of an instance in MB.')
param instanceMemory int = 2048

@description('Spread the app, its storage and Cosmos DB over availability zones. Fixed when they are created.')
param zoneRedundant bool = false

@description('Close the services to the internet; the app reaches them through a virtual network.')
param networkIsolation bool = false

@description('Addresses of the virtual network, a /24 or larger.')
param networkAddresses string = '10.0.0.0/24'

@allowed(['azureStorage', 'azureManaged'])
@description('Where orchestrations are kept: queues and tables in the storage account, or Durable Task Scheduler.')
param durableBackend string = 'azureStorage'

@allowed(['Consumption', 'Dedicated'])
@description('Pricing of Durable Task Scheduler.')
param schedulerSku string = 'Consumption'

@minLength(1)
@description('Comma list of addresses or ranges that Durable Task Scheduler admits; an empty list would deny all.')
param schedulerIpAllowlist string = '0.0.0.0/0'

@allowed(['autoscale', 'serverless'])
@description('How Cosmos DB is billed. Fixed when the account is created.')
param cosmosCapacity string = 'autoscale'

@description('Use the free grant of the subscription. Only one account may have it, and no serverless one.')
param cosmosFreeTier bool = false

@minValue(1000)
@description('With autoscale: the maximum of RU/s that all containers share, in thousands; a tenth is the minimum.')
param cosmosMaxThroughput int = 1000

@allowed(['none', 'Free_F1', 'Standard_S1'])
@description('Azure SignalR Service, which serves thousands of watchers; none leaves it out.')
param signalr string = 'none'

@minValue(1)
@description('Units of SignalR, each for 1 000 connections; Free_F1 has one, for 20.')
param signalrUnits int = 1

@allowed(['none', 'Free_F1', 'Standard_S1'])
@description('Azure Web PubSub for Socket.IO, whose clients join rooms; none leaves it out.')
param socketio string = 'none'

@minValue(1)
@description('Units of that service, each for 1 000 connections; Free_F1 has one, for 20.')
param socketioUnits int = 1

@allowed(['none', 'Free_F1', 'Standard_S1'])
@description('Azure Web PubSub for plain WebSockets; none leaves it out.')
param websocket string = 'none'

@minValue(1)
@description('Units of that service, each for 1 000 connections; Free_F1 has one, for 20.')
param websocketUnits int = 1

@minLength(1)
@description('MODEL: the deployment of messages that name no model.')
param model string

@description('Comma list of models a message may ask for; empty allows any.')
param allowedModels string = ''

@description('An existing OpenAI-compatible endpoint; empty creates Azure OpenAI with a deployment of the model.')
param openaiBaseUrl string = ''

@secure()
@description('Key of an existing endpoint that takes no Entra ID tokens.')
param openaiApiKey string = ''

@description('Version of the model to deploy; empty takes the default of the region.')
param modelVersion string = ''

@description('Kind of the deployment, such as GlobalStandard or DataZoneStandard.')
param modelSku string = 'GlobalStandard'

@minValue(1)
@description('Capacity of the deployment, in thousands of tokens per minute.')
param modelCapacity int = 50

@allowed(['easyauth', 'jwt'])
@description('Where tokens are checked: in App Service Authentication, or in the app.')
param authMode string = 'easyauth'

@description('With jwt: the exact `iss` of the tokens.')
param jwtIssuer string = ''

@description('With jwt: what the `aud` of the tokens must hold.')
param jwtAudience string = ''

@description('With jwt: where the issuer publishes its keys.')
param jwtJwksUrl string = ''

@description('Client id of the Entra ID app that callers get tokens for; empty closes the app to everyone.')
param authClientId string = ''

@description('Comma list of client ids whose tokens are accepted; empty accepts any client of the tenant.')
param authAllowedClients string = ''

@secure()
@description('Encrypts the tickets of streams. Each deployment makes a new one: tickets last for five minutes.')
param ticketKey string = newGuid()

@description('Comma list of origins whose pages may call the app.')
param corsOrigins string = ''

@description('GB of logs that a day may bring; -1 is no limit.')
param logDailyGigabytes int = -1

@description('Address that gets mail when the app fails; empty makes no alerts.')
param alertEmail string = ''

@description('Object id of a person or group with read access to find faults; empty gives it to no one.')
param debugPrincipalId string = ''

@allowed(['User', 'Group', 'ServicePrincipal'])
@description('Kind of that principal.')
param debugPrincipalType string = 'User'

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = { 'azd-env-name': environmentName }
var taskHub = 'turnlog'
var socketioHub = 'turnlog'

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  scope: group
  params: {
    name: 'id-${token}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    dailyGigabytes: logDailyGigabytes
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  params: {
    location: location
    tags: tags
    insightsId: monitoring.outputs.insightsId
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  params: {
    name: 'st${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    isPrivate: networkIsolation
    zoneRedundant: zoneRedundant
  }
}

module cosmos 'modules/cosmos.bicep' = {
  scope: group
  params: {
    name: 'cosmos-${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    isPrivate: networkIsolation
    zoneRedundant: zoneRedundant
    capacity: cosmosCapacity
    maxThroughput: cosmosMaxThroughput
    freeTier: cosmosFreeTier
  }
}

module scheduler 'modules/scheduler.bicep' = if (durableBackend == 'azureManaged') {
  scope: group
  params: {
    name: 'dts-${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    isPrivate: networkIsolation
    sku: schedulerSku
    ipAllowlist: split(schedulerIpAllowlist, ',')
    taskHub: taskHub
    readerId: debugPrincipalId
    readerType: debugPrincipalType
  }
}

module signalrService 'modules/signalr.bicep' = if (signalr != 'none') {
  scope: group
  params: {
    name: 'signalr-${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    sku: signalr
    units: signalrUnits
    allowedOrigins: empty(corsOrigins) ? [] : split(corsOrigins, ',')
  }
}

module socketioService 'modules/socketio.bicep' = if (socketio != 'none') {
  scope: group
  params: {
    name: 'socketio-${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    sku: socketio
    units: socketioUnits
  }
}

module websocketService 'modules/websocket.bicep' = if (websocket != 'none') {
  scope: group
  params: {
    name: 'websocket-${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    sku: websocket
    units: websocketUnits
  }
}

module openai 'modules/openai.bicep' = if (empty(openaiBaseUrl)) {
  scope: group
  params: {
    name: 'oai-${token}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    isPrivate: networkIsolation
    model: model
    modelVersion: modelVersion
    sku: modelSku
    capacity: modelCapacity
  }
}

module network 'modules/network.bicep' = if (networkIsolation) {
  scope: group
  params: {
    name: 'vnet-${token}'
    location: location
    tags: tags
    addresses: networkAddresses
    services: concat(
      [
        { group: 'blob', zone: 'privatelink.blob.${environment().suffixes.storage}', id: storage.outputs.id }
        { group: 'queue', zone: 'privatelink.queue.${environment().suffixes.storage}', id: storage.outputs.id }
        { group: 'table', zone: 'privatelink.table.${environment().suffixes.storage}', id: storage.outputs.id }
        { group: 'Sql', zone: 'privatelink.documents.azure.com', id: cosmos.outputs.id }
      ],
      empty(openaiBaseUrl)
        ? [{ group: 'account', zone: 'privatelink.openai.azure.com', id: openai!.outputs.id }]
        : [],
      durableBackend == 'azureManaged'
        ? [{ group: 'scheduler', zone: 'privatelink.durabletask.io', id: scheduler!.outputs.id }]
        : []
    )
  }
}

module app 'modules/app.bicep' = {
  scope: group
  params: {
    name: 'func-${token}'
    planName: 'plan-${token}'
    location: location
    tags: tags
    pythonVersion: pythonVersion
    alwaysReadyHttp: alwaysReadyHttp
    alwaysReadyDurable: alwaysReadyDurable
    alwaysReadyRooms: alwaysReadyRooms
    maximumInstances: maximumInstances
    instanceMemory: instanceMemory
    zoneRedundant: zoneRedundant
    subnetId: networkIsolation ? network!.outputs.appSubnetId : ''
    identityId: identity.outputs.id
    clientId: identity.outputs.clientId
    deploymentContainer: storage.outputs.deploymentContainer
    storageName: storage.outputs.name
    insightsConnectionString: monitoring.outputs.connectionString
    cosmosEndpoint: cosmos.outputs.endpoint
    cosmosDatabase: cosmos.outputs.database
    signalrEndpoint: signalr == 'none' ? '' : signalrService!.outputs.endpoint
    socketioEndpoint: socketio == 'none' ? '' : socketioService!.outputs.endpoint
    socketioId: socketio == 'none' ? '' : socketioService!.outputs.id
    socketioHub: socketioHub
    websocketEndpoint: websocket == 'none' ? '' : websocketService!.outputs.endpoint
    taskHub: taskHub
    schedulerEndpoint: durableBackend == 'azureManaged' ? scheduler!.outputs.endpoint : ''
    openaiBaseUrl: empty(openaiBaseUrl) ? openai!.outputs.baseUrl : openaiBaseUrl
    openaiApiKey: openaiApiKey
    model: model
    allowedModels: allowedModels
    authMode: authMode
    jwtIssuer: jwtIssuer
    jwtAudience: jwtAudience
    jwtJwksUrl: jwtJwksUrl
    authClientId: authClientId
    authAllowedClients: authAllowedClients
    ticketKey: ticketKey
    corsOrigins: corsOrigins
  }
}

module hub 'modules/hub.bicep' = if (socketio != 'none') {
  scope: group
  params: {
    serviceName: socketioService!.outputs.name
    socketioHub: socketioHub
    appUrl: app.outputs.url
  }
}

module alerts 'modules/alerts.bicep' = if (!empty(alertEmail)) {
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    email: alertEmail
    workspaceId: monitoring.outputs.workspaceId
    cosmosId: cosmos.outputs.id
  }
}

module debugging 'modules/debugging.bicep' = if (!empty(debugPrincipalId)) {
  scope: group
  params: {
    principalId: debugPrincipalId
    principalType: debugPrincipalType
    storageName: storage.outputs.name
    cosmosName: cosmos.outputs.name
  }
}

@description('Region of everything.')
output AZURE_LOCATION string = location

@description('Name of the resource group.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Base URL of the app.')
output APP_URL string = app.outputs.url

@description('Object id of the identity of the app: an endpoint that already exists gives a role to it.')
output APP_IDENTITY_PRINCIPAL_ID string = identity.outputs.principalId
