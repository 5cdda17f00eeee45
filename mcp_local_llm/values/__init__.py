"""Frozen values, protocols of engines and the error tree. It must not know files, sockets or libraries but pydantic."""
