"""Tells files that hold secrets: by their names, by a private key at their beginning, by rules of the user and agent.

Names are compared by whole components and as the laxest file system compares them, so that `keyboard.ts` and
`environment.rs` are read and `.ENV` is not.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from mcp_local_llm.files.access.globs import folded
from mcp_local_llm.files.access.ignore_rules import IgnoreRules, ignore_rules

SECRET_FOLDERS = (
    # All of .git: its config and reflogs hold tokens, its objects every old version. It may be a file, too.
    *(".ssh", ".aws", ".azure", ".kube", ".gnupg", ".git", ".password-store", ".env"),
    *("**/.config/gcloud", "**/.config/gh", "**/.config/glab-cli"),
)
"""Folders whose files all count as secrets, as patterns of a .gitignore."""

SECRET_FILES = (
    # Keys. An `id_` with an ending is a source file (`id_map.py`) unless it begins as ssh-keygen names keys.
    *("id_*", "!id_*.*", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "!id_*.pub"),
    *("*.pem", "*.key", "*.ppk", "*.p8", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ovpn"),
    *("ssh_host_*_key",),
    # Files of clients that log in somewhere.
    *("**/.docker/config.json", ".dockercfg", ".netrc", "_netrc", ".git-credentials", "**/.config/git/credentials"),
    *(".npmrc", ".pypirc", ".pgpass", "**/.cargo/credentials", "**/.cargo/credentials.toml", "**/.gem/credentials"),
    *(".my.cnf", ".mylogin.cnf", "**/.terraform.d/credentials.tfrc.json", ".boto", ".s3cfg", ".vault-token"),
    *("rclone.conf", ".terraformrc", "kubeconfig", ".dockerconfigjson", ".Xauthority", ".*_history"),
    *(".claude*.json", "**/.claude/.credentials.json", "**/.codex/auth.json", "**/.gemini/oauth_creds.json"),
    # Environments and configuration with secrets.
    *(".env.*", ".env[-_~]*", "*.env", ".envrc", ".htpasswd", "secrets.y*ml", "secrets.json", "secrets.toml"),
    *("*.env.local", "*.env.prod*", "*.env.dev*", "*.env.staging", "*.env.test", ".flaskenv", ".dev.vars"),
    *(".secrets", ".secrets.*", "*-firebase-adminsdk-*.json", "application_default_credentials.json"),
    *("credentials.json", "service-account*.json", "service_account*.json", "client_secret*.json"),
    *("client-secret*.json", "*.tfstate*", "*.tfvars", "*.tfvars.json"),
)
"""Files that count as secrets, as patterns of a .gitignore."""

SECRET_BELOW_ROOTS = ("secrets/",)
"""Names that only count below a root, because a project may itself lie in such a folder."""

BACKUP = re.compile(r"(?:~|\.(?:bak|backup|old|orig|save|saved|copy|tmp|swp|swo|\d+))$", re.IGNORECASE)
"""What editors and people append to the name of a copy."""

KEY_BYTES = 4096
"""How far into a file a private key is looked for."""

_PRIVATE_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|PuTTY-User-Key-File-\d|AGE-SECRET-KEY-1")


def holds_private_key(content: bytes) -> bool:
    """Whether a private key begins in the text; the NULs of UTF-16 are ignored."""
    return _PRIVATE_KEY.search(content.replace(b"\0", b"")) is not None


@dataclass(frozen=True)
class DenyRules:
    """Rules that belong to a folder: `rules` are about paths below `folder`. `told` names the file they come from."""

    folder: Path
    rules: IgnoreRules
    told: str


@dataclass(frozen=True)
class SecretRules:
    """What counts as a secret for one call.

    Attributes:
        secret_names: more patterns, from the settings.
        allow: patterns of files that are read all the same, from the settings.
        denied: `Read` rules of the agent's own settings; `allow` does not take these back.
    """

    secret_names: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    denied: tuple[DenyRules, ...] = ()

    def denies(self, path: Path) -> str | None:
        """Return where a rule stands that forbids an absolute path, None where there is none."""
        for rules in self.denied:
            if path.is_relative_to(rules.folder) and rules.rules.holds(path.relative_to(rules.folder).parts):
                return rules.told
        return None

    def allows(self, path: Path, root: Path) -> bool:
        """Whether the settings name an absolute path as one to be read."""
        return self._allowed.holds(path.relative_to(root).parts) or self._allowed.holds(path.parts[1:])

    def is_secret(self, path: Path, root: Path) -> bool:
        """Whether an absolute path below a root counts as a secret by its name, or lies in a git repository's data."""
        if self.allows(path, root):
            return False
        parts = path.parts[1:]
        below = path.relative_to(root).parts
        own = self._more.holds(below) or self._more.holds(parts)
        named = own or secret_name(parts) or _rules(SECRET_BELOW_ROOTS).holds([folded(part) for part in below])
        return named or _in_bare_repository(path, root)

    @cached_property
    def _allowed(self) -> IgnoreRules:
        return ignore_rules(self.allow, fold=True, braces=True)

    @cached_property
    def _more(self) -> IgnoreRules:
        return ignore_rules(self.secret_names, fold=True, braces=True)


def secret_name(parts: Sequence[str]) -> bool:
    """Whether a path, given as its components, is a secret by the known names; copies of a file count as well."""
    *above, name = (folded(part) or part for part in parts)
    folders = tuple(above)
    if _in_secret_folder(folders):
        return True
    while True:
        path = [*folders, name]
        if any(_rules(table).decides(path, folder=False) for table in (SECRET_FOLDERS, SECRET_FILES)):
            return True
        shorter = BACKUP.sub("", name)
        if shorter in ("", name):
            return False
        name = shorter


@lru_cache(maxsize=1024)
def _in_secret_folder(folders: tuple[str, ...]) -> bool:
    return _rules(SECRET_FOLDERS).holds(folders)


@cache
def _rules(table: tuple[str, ...]) -> IgnoreRules:
    return ignore_rules(table, fold=True)


def _in_bare_repository(path: Path, root: Path) -> bool:
    """Whether a folder between the root and a file holds git's data under another name than `.git`."""
    folders = [folder for folder in path.parents if folder == root or folder.is_relative_to(root)]
    return any(
        os.path.isfile(folder / "HEAD") and os.path.isdir(folder / "objects") and os.path.isdir(folder / "refs")
        for folder in folders
    )
