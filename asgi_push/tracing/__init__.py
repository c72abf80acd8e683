"""Spans of OpenTelemetry: of publications, of the runs that hand them out, and of sessions."""
