// Azure Web PubSub for Socket.IO in serverless mode. The app sends with its identity. Keys stay on: the service signs the
// events of sockets with them, and without keys it signs nothing (learn.microsoft.com/azure/azure-web-pubsub,
// howto-disable-local-auth).

import { Tags } from 'types.bicep'

param name string
param location string
param tags Tags
param principalId string
param sku string
param units int

var webPubSubServiceOwner = '12cf5a90-567b-43ae-8102-96cf46c7d9b4'

resource service 'Microsoft.SignalRService/webPubSub@2024-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'SocketIO'
  sku: { name: sku, capacity: units }
  properties: {
    disableLocalAuth: false
    publicNetworkAccess: 'Enabled'
    socketIO: { serviceMode: 'Serverless' }
  }
}

resource owner 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(service.id, principalId, webPubSubServiceOwner)
  scope: service
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', webPubSubServiceOwner)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

@description('The resource id of the service.')
output id string = service.id

@description('The name of the service.')
output name string = service.name

@description('The URL that the app and the clients call.')
output endpoint string = 'https://${service.properties.hostName}'
