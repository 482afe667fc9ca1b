"""Functions that follow the change feed of the sessions' container."""
