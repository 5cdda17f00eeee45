"""The verbs, executed in this process or forwarded to the lease owner. It must not know doors or engines."""
