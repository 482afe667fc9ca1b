"""Everything Durable: the orchestrator of a turn, its activities, and the timers that repair and purge."""
