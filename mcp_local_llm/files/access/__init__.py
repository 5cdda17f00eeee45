"""Which files may be read and written: the roots, what counts as a secret, and the agent's own rules.

It opens nothing but settings, and must not know what a file is wanted for.
"""
