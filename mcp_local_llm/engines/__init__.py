"""Engines load models and answer requests, one package each. They must not know verbs, doors or each other."""
