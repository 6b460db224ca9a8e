"""The recipe of the `*-voice-*` models."""
