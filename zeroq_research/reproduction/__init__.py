"""The paper's tables and figures, reproduced. Each part is a function from a configuration to a section of a report."""
