"""The compiled executor: structs, packed weights, the library."""
