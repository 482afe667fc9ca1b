"""The requests of a turn to Cosmos DB, and their cost by the published tables."""
