"""Finds banned words in names and texts: `python -m tools.words`. The list is tools/banned_words.toml."""
