"""The edge of HTTP: callers, requests, responses, problems, streams."""
