"""The functions that follow the change feed of the sessions' container: they write rooms and push them to clients."""
