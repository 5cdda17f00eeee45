"""Says in plain words why a grammar could not be made or followed; llguidance's own words go to the log. Pure."""

import logging
import re

log = logging.getLogger(__name__)

NOTHING_FITS = "nothing can satisfy it"

_SENTENCES = tuple(
    (re.compile(pattern, re.DOTALL), sentence)
    for pattern, sentence in (
        (r"Unknown format: (\S+)", "the format {0!r} is not known"),
        (r"Invalid type: (\S+)", "there is no type {0!r}"),
        (r"Resource '(.+?)' is not present", "{0} is not part of the schema, and nothing is fetched"),
        (r"Pointer '(.*?)' does not exist", "the reference #{0} leads nowhere"),
        (r"oneOf constraints", "the choices of a oneOf overlap; write anyOf"),
        (r"Unimplemented keys: \[(.+?)\]", "{0} cannot be enforced"),
        (r"(?:look-around|lookarounds)", "a pattern uses look-around or a word boundary"),
        (r"backreferences", "a pattern uses backreferences"),
        (r"regexes /(.+?)/ and /(.+?)/ are not disjoint", "the patternProperties {0} and {1} overlap"),
        (r"regex parse error:.*error: ([^\n]+)", "a pattern cannot be read: {0}"),
        (r"(?:integer|float) range|number out of range|invalid type: floating point", "a number in it is too large"),
        (r"'multipleOf' has too many digits: (\S+)", "multipleOf {0} has too many digits"),
        (r"Unsatisfiable schema: ([^\n]+)", f"{NOTHING_FITS}: {{0}}"),
        (r"NoExtension", NOTHING_FITS),
        (r"(?i)too ?complex|too many|too large|too big|limit|fuel|exceed", "it is too complex"),
    )
)
"""What llguidance says → what a caller is told, tried in order."""


def in_plain_words(message: str) -> str:
    """Return the reason for the caller, without the library's state and inner names."""
    # The state and the generated grammar follow the message, and hold any word of the schema.
    said = message.partition("\n   1 | ")[0].partition("<state>")[0]
    for pattern, sentence in _SENTENCES:
        if found := pattern.search(said):
            return sentence.format(*(group[:200] for group in found.groups()))
    # It may repeat the caller's schema: only for who asks for it, and never in the log file.
    log.debug("a grammar failed: %s", said[:200], extra={"private": True})
    return "it is beyond what can be enforced"
