"""Loads a folder of files as a network, with its precision, shape and KV caches. It must not know requests."""
