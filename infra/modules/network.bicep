// Network isolation: a virtual network that the app calls out of, and in it an address of each service it uses.
param name string
param location string
param tags object
param addresses string

@description('What the app reaches privately: the part of the service (`group`), its DNS zone, its resource.')
param services {
  group: string
  zone: string
  id: string
}[]

// The subnets are part of it: as resources of their own each deployment would take them away first.
resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: { addressPrefixes: [addresses] }
    subnets: [
      {
        // Flex Consumption wants one of its own, of 32 addresses at least, without an underscore in its name.
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
  for service in services: {
    name: 'pep-${toLower(service.group)}-${name}'
    location: location
    tags: tags
    properties: {
      subnet: { id: '${network.id}/subnets/endpoints' }
      privateLinkServiceConnections: [
        {
          name: service.group
          properties: { privateLinkServiceId: service.id, groupIds: [service.group] }
        }
      ]
    }
  }
]

// Keeps the zone's records: without one the name of the service leads to its public address, which is closed.
resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (service, index) in services: {
    parent: endpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [{ name: 'zone', properties: { privateDnsZoneId: zones[index].id } }]
    }
  }
]

output appSubnetId string = '${network.id}/subnets/app'
