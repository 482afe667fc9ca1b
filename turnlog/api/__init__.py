"""HTTP functions, one module per resource, and the edge where bytes become values."""
