"""Which layer gets how many weight bits under a budget."""
