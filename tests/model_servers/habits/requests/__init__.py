"""What servers demand of requests."""
