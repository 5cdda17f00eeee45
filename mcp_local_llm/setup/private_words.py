"""Replaces private words in lines of a log or a report: keys, credentials, the home folder, user and host.

It must not know which text it is given. Text of prompts and files never gets as far as here: it is not logged.
"""

import os
import pwd
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from mcp_local_llm.setup.settings import Settings

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
"""Variables of any program whose values are replaced."""
_SHORTEST_SECRET = 6
"""Characters of such a value; a shorter one is hardly a secret, and would be found in words."""
_USERS = ("USER", "LOGNAME", "USERNAME")
_HOMES = frozenset({"/home", "/Users"})
_COMMON = frozenset({"", "local", "localhost", "root"})
"""Names that tell nothing of a person or a machine."""
_FORMS = (
    (re.compile(r"(://)[^\s/@]+@"), r"\1…@"),
    (re.compile(r"([?&][\w-]*(?:key|token|secret|passw|sig)[\w-]*=)[^&\s'\"]+", re.IGNORECASE), r"\1…"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{4,}", re.IGNORECASE), r"\1 …"),
    (re.compile(r"\b(sk|hf|gh[pousr]|xox[abprs])([-_])[\w-]{8,}"), r"\1\2…"),
)
"""What looks like credentials, wherever it comes from."""


class PrivateWords:
    """The words of this user and machine, and what stands in their place."""

    def __init__(
        self, *, home: Path, users: Iterable[str] = (), hosts: Iterable[str] = (), keys: Iterable[str] = ()
    ) -> None:
        """Make the table.

        Args:
            home: the home folder; it is replaced as it is written, and as it is resolved.
            users: login names.
            hosts: names of this machine; their first parts are replaced as well.
            keys: passwords and keys, which are replaced wherever they are.
        """
        self._words: list[tuple[re.Pattern[str], str]] = []
        for key in sorted(filter(None, keys), key=len, reverse=True):
            self._words.append((re.compile(re.escape(key)), "KEY"))
        for folder in sorted({str(home), str(home.resolve())} - {"/"}, key=len, reverse=True):
            self._words.append((re.compile(rf"{re.escape(folder)}(?![\w-])"), "~"))
        names = {host for name in hosts for host in (name, name.partition(".")[0])}
        for word, instead in (*((name, "HOST") for name in sorted(names, key=len, reverse=True)), *_each(users)):
            if word.lower() not in _COMMON:
                # An underscore is a border as well: a name in `name_project` is that name.
                pattern = rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])"
                self._words.append((re.compile(pattern, re.IGNORECASE), instead))

    def masked(self, text: str) -> str:
        """Return `text` with every private word replaced."""
        for pattern, instead in (*self._words, *_FORMS):
            text = pattern.sub(instead, text)
        return text


def _each(users: Iterable[str]) -> list[tuple[str, str]]:
    return [(user, "USER") for user in users]


def private_words(settings: Settings, environ: Mapping[str, str], home: Path) -> PrivateWords:
    """Collect the private words of this user and machine.

    Args:
        settings: whose keys are replaced, those that endpoints take from variables among them.
        environ: of this process; the values of variables that are called like a secret are replaced.
        home: the user's home folder; its name is a login name in `/home` and `/Users`.
    """
    named = {endpoint.api_key_env for endpoint in settings.endpoints}
    keys = {environ[name] for name in named if name and environ.get(name)}
    keys |= {
        value
        for name, value in environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET and not value.startswith("/")
    }
    keys |= {value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)}
    users = {environ.get(name, "") for name in _USERS}
    # A container may run as a number that the user database does not know.
    with suppress(KeyError):
        users.add(pwd.getpwuid(os.getuid()).pw_name)
    if str(home.parent) in _HOMES:
        users.add(home.name)
    return PrivateWords(home=home, users=users, hosts={os.uname().nodename, environ.get("HOSTNAME", "")}, keys=keys)
