"""The life of a turn, from its message to its end."""
