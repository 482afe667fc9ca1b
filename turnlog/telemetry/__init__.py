"""What operators see: spans, metrics and log lines, by OpenTelemetry. It is not loaded if the settings turn it off."""
