"""Running graphs: the torch interpreter for the float graph, the integer executor, the front end."""
