"""What the engine costs and saves, measured: each module is a command of its own."""
