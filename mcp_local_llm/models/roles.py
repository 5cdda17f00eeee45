"""Reads the roles of models from the registry, a file of other tools, which is never written here.

Any entry may be missing, null or wrong; such entries become warnings and raise no error.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.errors import shortened
from mcp_local_llm.wire.json_values import mended_json

ROLES = ("default", "coding", "quickest", "tool-calling", "large-context", "most-capable", "oss")
"""The roles that always exist; a role without a model means the resident model."""

MAX_BYTES = 4 * 2**20
"""The most bytes of the registry; a usual one has a few kilobytes."""


@dataclass(frozen=True)
class Registry:
    """The content of the registry.

    Attributes:
        roles: role in lower case → model id, None for no model; contains all of ROLES.
        endpoints: name → URL of a server, e.g. `mlx_local`.
        warnings: one sentence for each entry that was ignored.
    """

    roles: Mapping[str, str | None] = field(default_factory=lambda: dict.fromkeys(ROLES))
    endpoints: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()


def read_registry(path: Path) -> Registry:
    """Read the registry; entries that cannot be used become warnings. A missing file is an empty registry."""
    try:
        content = read_regular(path, MAX_BYTES)
        value: object = json.loads(mended_json(content.decode(json.detect_encoding(content))))
    except FileNotFoundError:
        return Registry()
    except OSError as error:
        return Registry(warnings=(f"{path} cannot be read ({error.strerror}); roles are unset.",))
    except json.JSONDecodeError as error:
        return Registry(warnings=(f"{path} is not valid JSON (line {error.lineno}); roles are unset.",))
    except (ValueError, RecursionError):  # not UTF-8, a number of thousands of digits, nested without end
        return Registry(warnings=(f"{path} is not valid JSON; roles are unset.",))
    if not isinstance(value, dict):
        return Registry(warnings=(f"{path} holds no JSON object; roles are unset.",))
    entries = cast(dict[str, object], value)
    warnings: list[str] = []
    models = _texts(path, "models", entries.get("models"), warnings)
    endpoints = _texts(path, "endpoints", entries.get("endpoints"), warnings)
    return Registry(
        roles={**dict.fromkeys(ROLES), **{role.strip().casefold(): model for role, model in models.items()}},
        endpoints={name: url for name, url in endpoints.items() if url is not None},
        warnings=tuple(warnings),
    )


def absent_models(roles: Mapping[str, str | None], ids: Collection[str]) -> tuple[str, ...]:
    """Return a sentence for each role whose model is not on this machine.

    Args:
        roles: role → model id or None.
        ids: of the models that are here; full ids and their last parts are compared, ignoring case.
    """
    known = {part for name in ids for part in (name.casefold(), name.casefold().rpartition("/")[2])}
    return tuple(
        f"The role {shortened(role)!r} stands for {shortened(model)}, which is not on this machine."
        for role, model in roles.items()
        if model and model.casefold() not in known
    )


def _texts(path: Path, key: str, value: object, warnings: list[str]) -> dict[str, str | None]:
    """Return the entries that are strings or null; an empty string becomes null."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        warnings.append(f"{path}: {key!r} is not an object and is ignored.")
        return {}
    kept: dict[str, str | None] = {}
    for name, entry in cast(dict[str, object], value).items():
        if entry is None or isinstance(entry, str):
            kept[name] = (entry or "").strip() or None
        else:
            warnings.append(f"{path}: {key}.{shortened(name)} is not a text and is ignored.")
    return kept
