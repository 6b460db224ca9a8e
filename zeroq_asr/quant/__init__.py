"""The conversion of real numbers to integers. No scale goes further than this package and its callers."""
