"""NVIDIA NeMo checkpoints (`.nemo`) as float graphs."""
