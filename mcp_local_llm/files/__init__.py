"""Reads and writes the user's files inside the roots. It must not know models, engines or doors."""
