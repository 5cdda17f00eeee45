"""Frozen values, the protocols of engines and the error tree. It must not know files, sockets or other rooms."""
