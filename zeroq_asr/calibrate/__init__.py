"""Measuring the ranges of values: observers, and the loop that feeds them."""
