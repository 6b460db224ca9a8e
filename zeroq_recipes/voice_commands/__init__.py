"""The training recipe of the shipped `*-voice-*` models."""
