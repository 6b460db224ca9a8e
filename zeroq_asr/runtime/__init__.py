"""Execution of models: the torch interpreter of float graphs, the integer executor, transcription."""
