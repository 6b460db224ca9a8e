"""Readers for untrusted files: nothing is unpickled, extracted or executed."""
