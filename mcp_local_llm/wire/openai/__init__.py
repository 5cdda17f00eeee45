"""JSON of OpenAI's API to values and back; pure. It must not know connections.

"Read" and "write" are from our side.
"""
