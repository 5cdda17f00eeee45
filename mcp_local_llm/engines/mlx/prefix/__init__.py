"""KV caches kept for reuse, in memory and on the disk. It must not know requests, only token ids."""
