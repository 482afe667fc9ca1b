"""What every service does with the log: append, follow, wait for the store, and load what events refer to."""
