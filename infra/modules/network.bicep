// Network isolation: a virtual network that the app calls out of. Each service that it uses has an address in it.

import { Tags } from 'types.bicep'

param name string
param location string
param tags Tags
param addresses string

@description('A service that the app reaches privately.')
type Service = {
  @description('The part of the service that the endpoint leads to.')
  group: string

  @description('The DNS zone that holds its address.')
  zone: string

  @description('The resource id of the service.')
  id: string
}
param services Service[]

// The subnets belong to the network's own declaration: if they were resources, each deployment would remove them first.
resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addresses] }
    subnets: [
      {
        // Flex Consumption needs a subnet that nothing else uses: 32 addresses or more, no underscore in the name.
        name: 'app'
        properties: {
          addressPrefix: cidrSubnet(addresses, 26, 0)
          delegations: [{ name: 'app', properties: { serviceName: 'Microsoft.App/environments' } }]
        }
      }
      {
        name: 'endpoints'
        properties: { addressPrefix: cidrSubnet(addresses, 26, 1) }
      }
    ]
  }
}

// They name what the network declares, so that nothing builds their ids as text.
resource appSubnet 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' existing = {
  parent: network
  name: 'app'
}

resource endpointsSubnet 'Microsoft.Network/virtualNetworks/subnets@2025-05-01' existing = {
  parent: network
  name: 'endpoints'
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for service in services: {
    name: service.zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (service, index) in services: {
    parent: zones[index]
    name: 'network'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: network.id }
    }
  }
]

resource endpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for (service, index) in services: {
    name: 'pep-${toLower(service.group)}-${name}'
    location: location
    tags: tags
    properties: {
      subnet: { id: endpointsSubnet.id }
      privateLinkServiceConnections: [
        {
          name: service.group
          // By index: the linter knows ids that come from a parameter, not those that come from a loop's variable.
          properties: { privateLinkServiceId: services[index].id, groupIds: [service.group] }
        }
      ]
    }
  }
]

// These keep the zone's records. Without them the name of the service leads to its public address, which is closed.
resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (service, index) in services: {
    parent: endpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [{ name: 'zone', properties: { privateDnsZoneId: zones[index].id } }]
    }
  }
]

@description('The resource id of the subnet that the app calls out of.')
output appSubnetId string = appSubnet.id
