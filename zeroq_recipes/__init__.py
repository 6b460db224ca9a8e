"""Training recipes of the shipped models. They import NeMo and are not part of the wheel."""
