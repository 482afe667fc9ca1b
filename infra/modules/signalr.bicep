// Azure SignalR Service in serverless mode: the app sends to groups, clients only receive; there are no keys.

import { Tags } from 'types.bicep'

param name string
param location string
param tags Tags
param principalId string
param sku string
param units int
param allowedOrigins string[]

var signalrServiceOwner = '7e4f1700-ea5a-4f59-8f37-079cfe29dce3'

resource service 'Microsoft.SignalRService/signalR@2024-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'SignalR'
  sku: { name: sku, capacity: units }
  properties: {
    disableLocalAuth: true
    publicNetworkAccess: 'Enabled'
    features: [{ flag: 'ServiceMode', value: 'Serverless' }]
    cors: { allowedOrigins: allowedOrigins }
  }
}

resource owner 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(service.id, principalId, signalrServiceOwner)
  scope: service
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', signalrServiceOwner)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

@description('The URL that the app and the clients call.')
output endpoint string = 'https://${service.properties.hostName}'
