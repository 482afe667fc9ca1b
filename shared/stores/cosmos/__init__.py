"""The session log in Azure Cosmos DB."""
