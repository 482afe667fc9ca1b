"""The command `turnlog`: chat, watch, tail and export in a terminal, and the commands that other packages add."""

from turnlog_client.command.main import main

__all__ = ["main"]
