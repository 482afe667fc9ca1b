// Durable Task Scheduler: it keeps the orchestrations instead of the storage account's queues and tables.

import { Tags } from 'types.bicep'

param name string
param location string
param tags Tags
param principalId string
param isPrivate bool
param sku string
param ipAllowlist string[]
param taskHub string
param readerId string
param readerType string

var durableTaskDataContributor = '0ad04412-c4d5-4796-b79c-f76d14c8d402'
var durableTaskDataReader = 'd6a5505f-6ebb-45a4-896e-ac8274cfc0ac'

resource scheduler 'Microsoft.DurableTask/schedulers@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    sku: sku == 'Dedicated' ? { name: sku, capacity: 1 } : { name: sku }
    ipAllowlist: ipAllowlist
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

resource hub 'Microsoft.DurableTask/schedulers/taskHubs@2026-02-01' = {
  parent: scheduler
  name: taskHub
}

resource contributor 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hub.id, principalId, durableTaskDataContributor)
  scope: hub
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', durableTaskDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// As in debugging.bicep: the scheduler's dashboard needs it.
resource reader 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(readerId)) {
  name: guid(hub.id, readerId, durableTaskDataReader)
  scope: hub
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', durableTaskDataReader)
    principalId: readerId
    principalType: readerType
  }
}

@description('The resource id of the scheduler.')
output id string = scheduler.id

@description('The URL that the Durable extension calls.')
output endpoint string = scheduler.properties.endpoint
