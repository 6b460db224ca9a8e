"""Output for people: text tables, pictures and TensorBoard logs. Nothing here computes a result."""
