"""Weight bits for each layer under a budget."""
