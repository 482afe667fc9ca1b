// Azure Web PubSub for plain WebSockets: the app sends to groups, clients only receive; there are no keys. It needs no
// hub: a hub without settings takes no anonymous clients, and calls nothing.

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
  kind: 'WebPubSub'
  sku: { name: sku, capacity: units }
  properties: {
    disableLocalAuth: true
    publicNetworkAccess: 'Enabled'
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

@description('The URL that the app and the clients call.')
output endpoint string = 'https://${service.properties.hostName}'
