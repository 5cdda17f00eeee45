"""What starts coding agents on a local model, and what tells them of it. It must not know engines."""
