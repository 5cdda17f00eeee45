"""Replaces private words in lines of a log or a report: keys, credentials, the home folder, user and host.

It must not know which text it is given. Text of prompts and files never gets as far as here: it is not logged.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from mcp_local_llm.setup.settings import Settings

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
"""Variables of any program whose values are replaced."""
_SHORTEST_SECRET = 6
"""Characters of such a value; a shorter one is hardly a secret, and would be found in words."""
_USERS = ("USER", "LOGNAME", "USERNAME")
_HOMES = frozenset({"/home", "/Users"})
_COMMON = frozenset({"", "local", "localhost", "root", "127.0.0.1", "::1"})
"""Names that tell nothing of a person or a machine."""
_PUBLIC = r"(?:localhost|127\.0\.0\.1|\[::1\]|huggingface\.co|github\.com)(?![\w.-])"
"""Hosts of this machine or of everybody."""
_FORMS = (
    (re.compile(r"(://)[^\s/@]+@"), r"\1…@"),
    (re.compile(rf"(https?://(?:…@)?)(?!{_PUBLIC}|HOST)(?:\[[^\s\]]*\]|[\w.-]+)"), r"\1HOST"),
    (re.compile(r"([?&][\w-]*(?:key|token|secret|passw|sig)[\w-]*=)[^&\s'\"]+", re.IGNORECASE), r"\1…"),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{4,}", re.IGNORECASE), r"\1 …"),
    (re.compile(r"\b(sk|hf|gh[pousr]|xox[abprs])([-_])[\w-]{8,}"), r"\1\2…"),
)
"""What looks like credentials or the address of a machine, wherever it comes from."""


class PrivateWords:
    """The words of this user and machine, and what stands in their place."""

    def __init__(
        self,
        *,
        home: Path,
        users: Iterable[str] = (),
        hosts: Iterable[str] = (),
        keys: Iterable[str] = (),
        folder: Path | None = None,
    ) -> None:
        """Make the table.

        Args:
            home: the home folder; it is replaced as it is written, and as it is resolved.
            users: login names.
            hosts: names and addresses of machines; first parts of names are replaced as well.
            keys: passwords and keys, which are replaced wherever they are.
            folder: one more folder.
        """
        self._words = [(re.compile(re.escape(key)), "KEY") for key in _longest_first(keys)]
        if folder is not None and not home.is_relative_to(folder):
            self._words.append((_path(folder), "FOLDER"))
        self._words += [(_path(place), "~") for place in (home, home.resolve()) if place != Path("/")]
        names = {host for name in hosts for host in (name, "" if _is_address(name) else name.partition(".")[0])}
        self._words += [(_word(name), "HOST") for name in _longest_first(names - _COMMON)]
        self._words += [(_word(name), "USER") for name in _longest_first({*users} - _COMMON)]

    def masked(self, text: str) -> str:
        """Return `text` with every private word replaced."""
        for pattern, instead in (*self._words, *_FORMS):
            text = pattern.sub(instead, text)
        return text


def _longest_first(words: Iterable[str]) -> list[str]:
    return sorted(filter(None, words), key=len, reverse=True)


def _path(folder: Path) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(str(folder))}(?![\w-])")


def _word(word: str) -> re.Pattern[str]:
    """Match a name; an underscore is a border as well, because a name in `name_project` is that name."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", re.IGNORECASE)


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdecimal()


def private_words(
    settings: Settings, environ: Mapping[str, str], home: Path, folder: Path | None = None
) -> PrivateWords:
    """Collect the private words of this user and machine.

    Args:
        settings: whose keys are replaced, those that endpoints take from variables among them.
        environ: of this process; the values of variables that are called like a secret are replaced.
        home: the user's home folder; its name is a login name in `/home` and `/Users`.
        folder: one more folder whose path tells what the user works on.
    """
    named = {endpoint.api_key_env for endpoint in settings.endpoints}
    keys = {environ[name] for name in named if name and environ.get(name)}
    keys |= {
        value
        for name, value in environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET and not value.startswith("/")
    }
    keys |= {value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)}
    # The database of users is not asked: it may be on another machine.
    users = {environ.get(name, "") for name in _USERS}
    if str(home.parent) in _HOMES:
        users.add(home.name)
    hosts = {os.uname().nodename, environ.get("HOSTNAME", "")}
    hosts |= {urlsplit(endpoint.url).hostname or "" for endpoint in settings.endpoints}
    hosts |= {str(host) for cluster in settings.cluster for host in cluster.hosts}
    return PrivateWords(home=home, users=users, hosts=hosts, keys=keys, folder=folder)
