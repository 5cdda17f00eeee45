"""The error for settings of another program that cannot be changed safely."""


class UnreadableSettings(Exception):
    """The text is not what its format says, or has a form that no change fits into; the message says where."""
