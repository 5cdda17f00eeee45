"""Reads what a call names in `files`, fences it for a model, and cuts what is too long into parts.

All of it is synchronous and touches the disk or runs git: call it on a thread. It must not know models; tokens are
counted by a function that is handed in.
"""
