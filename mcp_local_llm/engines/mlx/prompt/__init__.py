"""A request becomes token ids, beside the MLX thread and within bounds of time. It must not touch an array."""
