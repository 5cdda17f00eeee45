"""Tool-call dialects: one module per kind of payload, a table of the markers around them, and their reader."""
