"""A folder of files becomes a loaded network. It must not know requests."""
