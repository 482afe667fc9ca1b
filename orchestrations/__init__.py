"""Everything Durable: one orchestrator, its activities, the repair timer."""
