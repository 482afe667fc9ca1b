"""What habits a server's answers have."""
