"""Calibration: observers that measure the ranges of values, and the loop that feeds them."""
