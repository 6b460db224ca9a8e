"""Tables, plots and pages of the research bench."""
