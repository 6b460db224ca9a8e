"""Questions about graphs. What is called find_, count_ or bound_ changes nothing."""
