"""Put before a server's path: MLX as it is where its native library cannot be loaded."""
