"""`python -m local.model`."""

from local.model.server import main

main()
