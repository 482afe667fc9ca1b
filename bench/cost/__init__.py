"""What a turn asks of Cosmos DB, and what that costs by the published tables."""
