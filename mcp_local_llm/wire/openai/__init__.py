"""JSON of OpenAI's API to values and back; pure. "Read" and "write" are from our side. Must not know connections."""
