// The workbook in Application Insights: turns, waits, request units, tokens, failures. docs/run/telemetry.md explains it.

import { Tags } from 'types.bicep'

param location string
param tags Tags
param insightsId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(insightsId, 'turnlog')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Turnlog'
    category: 'workbook'
    sourceId: insightsId
    serializedData: loadTextContent('../workbook.json')
    version: 'Notebook/1.0'
  }
}
