"""The parts of `lower_to_integer`, one file for each kind of operation."""
