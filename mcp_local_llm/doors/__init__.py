"""Doors translate requests, call the `LLM` protocol, and translate results. They must not know its implementations."""
