// The app's identity: the only one that storage, Cosmos DB, the scheduler, the model and telemetry accept.

import { Tags } from 'types.bicep'

param name string
param location string
param tags Tags

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

@description('The resource id of the identity.')
output id string = identity.id

@description('The client id that the app signs in with.')
output clientId string = identity.properties.clientId

@description('The object id that roles are assigned to.')
output principalId string = identity.properties.principalId
