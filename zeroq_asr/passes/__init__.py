"""Rewrites of the graph: one per file, each pure."""
