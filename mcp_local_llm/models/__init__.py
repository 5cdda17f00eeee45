"""Which models there are and which one is meant. It must not know engines, or who holds the lease."""
