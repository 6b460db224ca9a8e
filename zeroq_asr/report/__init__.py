"""What a person sees: pictures and TensorBoard logs. Nothing here computes a result."""
