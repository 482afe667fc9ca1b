"""The agents that users can talk to, and their tools."""
