"""The log as the protocols of front-end libraries."""
