"""What this user and this machine have: settings, places, memory. It must not know models or engines."""
