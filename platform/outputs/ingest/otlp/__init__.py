"""OpenTelemetry's way in (OTLP/HTTP): spans and log records as real instrumentations send them."""
