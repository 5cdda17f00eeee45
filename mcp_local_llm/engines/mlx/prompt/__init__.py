"""Turns a request into token ids, on worker threads and within bounds of time. It must not touch an mlx array."""
