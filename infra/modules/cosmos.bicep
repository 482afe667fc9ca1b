// The log: one account, Strong in one write region, no keys. tests/infra holds the containers equal to
// turnlog/stores/cosmos/containers.py.

import { Tags } from 'types.bicep'

param name string
param location string
param tags Tags
param principalId string
param isPrivate bool
param zoneRedundant bool

@allowed(['autoscale', 'serverless'])
param capacity string
param maxThroughput int
param freeTier bool

var dataContributor = '00000000-0000-0000-0000-000000000002'
var databaseName = 'turnlog'

var containers = [
  {
    name: 'sessions'
    partitionKey: '/session_id'
    defaultTtl: -1 // documents with a `ttl` expire; all others stay
    indexingPolicy: {
      indexingMode: 'consistent'
      automatic: true
      includedPaths: [
        { path: '/session_id/?' }
        { path: '/last/?' }
        { path: '/last_non_delta/?' }
        { path: '/writer/?' }
        { path: '/types/[]/?' }
        { path: '/sort_key/?' }
        { path: '/repair_due/?' }
        { path: '/clear_due/?' }
        { path: '/owner/?' }
        { path: '/listing_key/?' }
        { path: '/project_id/?' }
        { path: '/status/?' }
        { path: '/agent_name/?' }
        { path: '/archived/?' }
        { path: '/hidden/?' }
        { path: '/labels/[]/?' }
      ]
      excludedPaths: [{ path: '/*' }]
      compositeIndexes: [
        [{ path: '/owner', order: 'descending' }, { path: '/listing_key', order: 'descending' }]
      ]
    }
  }
  {
    name: 'projects'
    partitionKey: '/id'
    defaultTtl: -1
    indexingPolicy: {
      indexingMode: 'consistent'
      automatic: true
      includedPaths: [
        { path: '/owner/?' }
        { path: '/listing_key/?' }
        { path: '/deleted/?' }
        { path: '/deletion_due/?' }
      ]
      excludedPaths: [{ path: '/*' }]
      compositeIndexes: [
        [{ path: '/owner', order: 'descending' }, { path: '/listing_key', order: 'descending' }]
      ]
    }
  }
  {
    name: 'rooms'
    partitionKey: '/room'
    defaultTtl: 604800 // 7 days
    indexingPolicy: {
      indexingMode: 'consistent'
      automatic: true
      includedPaths: []
      excludedPaths: [{ path: '/*' }]
    }
  }
  {
    // The change-feed trigger keeps its position here. A data-plane role can't create the container.
    name: 'leases'
    partitionKey: '/id'
    defaultTtl: -1
    indexingPolicy: {
      indexingMode: 'consistent'
      automatic: true
      includedPaths: [{ path: '/*' }]
      excludedPaths: []
    }
  }
]

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-10-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    consistencyPolicy: { defaultConsistencyLevel: 'Strong' }
    locations: [{ locationName: location, failoverPriority: 0, isZoneRedundant: zoneRedundant }]
    enableMultipleWriteLocations: false
    enableFreeTier: freeTier
    capabilities: capacity == 'serverless' ? [{ name: 'EnableServerless' }] : []
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: { tier: 'Continuous7Days' }
    }
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2025-10-15' = {
  parent: account
  name: databaseName
  properties: {
    resource: { id: databaseName }
    options: capacity == 'serverless' ? {} : { autoscaleSettings: { maxThroughput: maxThroughput } }
  }
}

resource items 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-10-15' = [
  for container in containers: {
    parent: database
    name: container.name
    properties: {
      resource: {
        id: container.name
        // Version 1 hashes only the first 101 bytes of a key; session ids have up to 128.
        partitionKey: { paths: [container.partitionKey], kind: 'Hash', version: 2 }
        defaultTtl: container.defaultTtl
        indexingPolicy: container.indexingPolicy
      }
    }
  }
]

resource contributorRole 'Microsoft.DocumentDB/databaseAccounts/sqlRoleDefinitions@2025-10-15' existing = {
  parent: account
  name: dataContributor
}

resource contributor 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-10-15' = {
  parent: account
  name: guid(account.id, principalId, dataContributor)
  properties: {
    roleDefinitionId: contributorRole.id
    principalId: principalId
    scope: account.id
  }
}

@description('The resource id of the account.')
output id string = account.id

@description('The name of the account.')
output name string = account.name

@description('The URL that the SDK calls.')
output endpoint string = account.properties.documentEndpoint

@description('The name of the database.')
output database string = database.name
