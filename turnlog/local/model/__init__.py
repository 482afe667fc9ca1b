"""The scripted model server."""
