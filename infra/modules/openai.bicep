// Azure OpenAI with one deployment. The app calls it with its identity; there are no keys.

import { Tags } from 'types.bicep'

param name string
param location string
param tags Tags
param principalId string
param isPrivate bool
param model string
param modelVersion string
param sku string
param capacity int

var openaiUser = '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'

resource account 'Microsoft.CognitiveServices/accounts@2026-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'OpenAI'
  sku: { name: 'S0' }
  properties: {
    customSubDomainName: name // Entra ID tokens need one
    disableLocalAuth: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
  }
}

// The account takes one change at a time: further deployments must be created one after the other.
resource deployment 'Microsoft.CognitiveServices/accounts/deployments@2026-03-01' = {
  parent: account
  name: model
  sku: {
    name: sku
    capacity: capacity
  }
  properties: {
    model: union({ format: 'OpenAI', name: model }, empty(modelVersion) ? {} : { version: modelVersion })
  }
}

resource user 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, principalId, openaiUser)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', openaiUser)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

@description('The resource id of the account.')
output id string = account.id

// Not the account's `endpoint`: the private DNS zone holds this name.
@description('The base URL of the OpenAI API.')
output baseUrl string = 'https://${account.properties.customSubDomainName}.openai.azure.com/openai/v1/'
