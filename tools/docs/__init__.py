"""Writes the generated pages of docs from the code: `make docs`."""
