"""Command lines of the research bench."""
