"""Admits, prefills, decodes and ends requests, on the MLX thread. It must not know the event loop."""
