"""What operators see: spans, metrics and log lines, by OpenTelemetry. Nothing of it runs where it is not asked for."""
