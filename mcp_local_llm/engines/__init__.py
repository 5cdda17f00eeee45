"""Everything that turns a request into an answer. Each engine lives in a package of its own."""
