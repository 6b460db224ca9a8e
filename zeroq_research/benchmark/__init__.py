"""Latency of this and of other engines, measured side by side."""
