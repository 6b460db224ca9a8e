"""Latency of one model in our kernels, in torch and in other vendors' engines."""
