"""The protocol without I/O: both clients send the requests, and give the answers back."""
