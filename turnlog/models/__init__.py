"""Model clients, one module per wire protocol."""
