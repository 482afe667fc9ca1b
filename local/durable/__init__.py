"""The local Durable engine."""
