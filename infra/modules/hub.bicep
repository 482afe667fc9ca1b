// The hub of Socket.IO: the app decides who connects, and which rooms a socket joins. It is a module of its own, because
// it needs the URL of the app, and the app needs the service.

param serviceName string
param socketioHub string
param appUrl string

resource service 'Microsoft.SignalRService/webPubSub@2024-03-01' existing = {
  name: serviceName
}

resource hub 'Microsoft.SignalRService/webPubSub/hubs@2024-03-01' = {
  parent: service
  name: socketioHub
  properties: {
    anonymousConnectPolicy: 'deny'
    eventHandlers: [
      {
        urlTemplate: '${appUrl}/socketio/events'
        systemEvents: ['connect']
        userEventPattern: '*'
      }
    ]
  }
}
