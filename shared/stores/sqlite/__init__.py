"""The session log in a SQLite file, for one machine."""
