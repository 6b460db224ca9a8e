"""NeMo configurations of the shipped models and of the published sizes."""
