"""How the shipped models are trained. Imports NeMo; not part of the wheel."""
