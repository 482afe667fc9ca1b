"""The same turns on Turnlog and on its peers, on the same machine: `python -m bench.peers`."""
