"""Translate in, call the `LLM` protocol, and translate out. Must not know who implements it, or each other."""
