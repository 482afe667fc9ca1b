"""Where the Functions host looks for the app."""

from turnlog.app import app

__all__ = ["app"]
