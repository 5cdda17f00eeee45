"""Lists the licences of what `mcp-local-llm` installs, in docs/licences.md: `python -m release.licences`.

They are read from the metadata of the packages that are installed here. A package that only other systems install keeps
its row; `requirements.lock` says which there are.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.supply import LOCK, ROOT

PAGE = ROOT / "docs" / "licences.md"
START, END = "<!-- licences -->\n", "<!-- /licences -->"
HEAD = "| package | licence |\n| --- | --- |\n"


def runtime() -> Mapping[str, Distribution]:
    """Return what an installation of this package brings to this machine, by name; the package itself is left out."""
    found: dict[str, Distribution] = {}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = list(_required(project["dependencies"], ""))
    while waiting:
        name, extras = waiting.pop()
        try:
            one = distribution(name)
        except PackageNotFoundError:
            continue
        if name not in found:
            found[name] = one
            waiting += _required(one.requires or (), "")
        for extra in extras:
            waiting += (needed for needed in _required(one.requires or (), extra) if needed[0] not in found)
    return dict(sorted(found.items()))


def licence(package: Distribution) -> str:
    """Return the licence of a package, as its metadata name it."""
    told = package.metadata
    if "License-Expression" in told:
        return told["License-Expression"]
    classified = [str(one).split(" :: ")[-1] for one in told.get_all("Classifier", []) if one.startswith("License ::")]
    named = [one for one in classified if one != "OSI Approved"]
    return " or ".join(named) or str(told.get_all("License", ["not told"])[0]).strip().split("\n")[0]


def rows(page: str) -> Mapping[str, str]:
    """Return the rows of the page."""
    table = page.partition(START)[2].partition(END)[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", table, re.MULTILINE))


def with_licences(page: str) -> str:
    """Return the page with the rows of what is installed here; those of packages that are locked for others stay."""
    locked = set(locked_names(LOCK.read_text(encoding="utf-8")))
    here = {name: licence(package) for name, package in runtime().items()}
    others = {name: text for name, text in rows(page).items() if name in locked and not _installed(name)}
    lines = "".join(f"| `{name}` | {text} |\n" for name, text in sorted({**others, **here}.items()))
    before, _, rest = page.partition(START)
    return f"{before}{START}{HEAD}{lines}{END}{rest.partition(END)[2]}"


def locked_names(lock: str) -> Iterator[str]:
    """Return the names in a lock file."""
    yield from (canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _required(texts: Iterable[str], extra: str) -> Iterator[tuple[str, frozenset[str]]]:
    for text in texts:
        one = Requirement(text)
        if one.marker is None or one.marker.evaluate({"extra": extra}):
            yield canonicalize_name(one.name), frozenset(one.extras)


if __name__ == "__main__":
    PAGE.write_text(with_licences(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
