"""Requests side by side on the MLX thread: admitted, prefilled, decoded, ended. It must not know the event loop."""
