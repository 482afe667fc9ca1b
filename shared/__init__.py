"""What the HTTP functions and the orchestrations have in common: domain, services, and the adapters around them."""
