"""Measures what docs/run/performance.md reports: `make bench`, or `python -m bench --help`."""
