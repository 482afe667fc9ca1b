"""What the API and the orchestrations ask for, in terms of the ports."""
