"""`python -m local.host`."""

from local.host.entry import main

main()
