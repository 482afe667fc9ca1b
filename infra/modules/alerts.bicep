// Mail when the app fails: `queries` has an entry for each fault to look for in its telemetry. Each counts `found`.

import { Tags } from 'types.bicep'

param token string
param location string
param tags Tags
param email string
param workspaceId string
param cosmosId string

var queries = [
  {
    name: 'server-errors'
    description: 'Requests were answered with a status of 500 or more.'
    query: 'AppRequests | where toint(ResultCode) >= 500 | summarize found = count()'
  }
  {
    name: 'failed-turns'
    description: 'Turns fail.'
    query: 'AppMetrics | where Name == "turnlog.turns" and tostring(Properties["turnlog.outcome"]) == "failed" | summarize found = sum(Sum)'
  }
  {
    // From the app's own telemetry (docs/run/telemetry.md): spans of attempts, and exceptions in its log lines.
    name: 'failing-functions'
    description: 'Activities, timers or readers of the change feed fail, and the model is not the cause.'
    query: 'union (AppDependencies | where Success == false and Name in ("call_model", "run_tool", "park_turn", "finish_turn") and tostring(Properties["turnlog.fault_domain"]) != "model"), (AppExceptions | where tostring(Properties["logger_name"]) matches regex "^(orchestrations|changes)[.]") | summarize found = count()'
  }
]

resource receivers 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${token}'
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'turnlog'
    enabled: true
    emailReceivers: [{ name: 'operators', emailAddress: email, useCommonAlertSchema: true }]
  }
}

resource searches 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for entry in queries: {
    name: 'alert-${entry.name}-${token}'
    location: location
    tags: tags
    properties: {
      displayName: 'Turnlog: ${entry.name}'
      description: entry.description
      severity: 2
      enabled: true
      scopes: [workspaceId]
      evaluationFrequency: 'PT5M'
      windowSize: 'PT15M'
      // A new workspace does not have the table yet.
      skipQueryValidation: true
      autoMitigate: true
      criteria: {
        allOf: [
          {
            query: entry.query
            metricMeasureColumn: 'found'
            timeAggregation: 'Total'
            operator: 'GreaterThanOrEqual'
            threshold: 5
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      actions: { actionGroups: [receivers.id] }
    }
  }
]

// A few 429 are normal: clients wait and repeat. Many mean that COSMOS_MAX_THROUGHPUT is too low.
resource throttling 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: 'alert-throttling-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Cosmos DB refuses requests because the throughput is too low (429).'
    severity: 2
    enabled: true
    scopes: [cosmosId]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'throttled'
          metricNamespace: 'Microsoft.DocumentDB/databaseAccounts'
          metricName: 'TotalRequests'
          dimensions: [{ name: 'StatusCode', operator: 'Include', values: ['429'] }]
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 100
        }
      ]
    }
    actions: [{ actionGroupId: receivers.id }]
  }
}
