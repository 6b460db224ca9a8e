"""The single gate from real numbers to integers. Scales live here and nowhere after."""
