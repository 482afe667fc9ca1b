"""`python -m turnlog.local.model`."""

from turnlog.local.model.server import main

main()
