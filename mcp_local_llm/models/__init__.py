"""Finds, names, compares and downloads models. It must not know engines or the lease."""
