"""The user's settings, folders and files, and the facts of this machine. It must not know models or engines."""
