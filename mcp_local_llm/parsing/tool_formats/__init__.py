"""Tool-call formats: one module per kind of payload, a table of tags, and a reader. It must not know reasoning."""
