"""`python -m turnlog.local.host`."""

from turnlog.local.host.entry import main

main()
