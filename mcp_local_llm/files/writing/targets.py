"""Decides where an answer may be written: inside the roots, through no link, and never into what programs run or obey.

Project sources that a user runs on purpose (a Makefile, `package.json`, tests) may be written: the report shows them.
"""

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_local_llm.files.access.globs import folded
from mcp_local_llm.values.errors import FileAccessError

PROTECTED_FOLDERS = frozenset(
    (
        *(".git", ".githooks", ".husky", ".hg", ".svn"),
        *(".codex", ".cursor", ".gemini", ".opencode", ".continue", ".roo", ".clinerules", ".windsurf", ".qwen"),
        *(".agents", ".kilocode", ".amazonq", ".junie", ".augment", ".trae"),
        *(".vscode", ".idea", ".zed", ".fleet", ".devcontainer"),
        *(".cargo", ".yarn", ".mvn", ".gradle", ".direnv", ".mise", ".circleci", ".buildkite"),
        *(".woodpecker", ".semaphore", ".builds", ".teamcity"),
        *(".ssh", ".gnupg"),
    )
)
"""Folders, at any depth, whose files configure programs or are run by them; in lower case."""

PROTECTED_FOLDER_PAIRS = frozenset(
    (
        *((forge, folder) for forge in (".github", ".gitea", ".forgejo") for folder in ("workflows", "actions")),
        *((".github", folder) for folder in ("instructions", "prompts", "agents", "skills", "chatmodes", "hooks")),
        *((".config", folder) for folder in ("fish", "git", "systemd", "autostart")),
    )
)
"""A folder and the one below it that is protected."""

PROTECTED_FILES = frozenset(
    (
        *(".mcp.json", ".mcp.jsonc", ".gitconfig", ".gitmodules", ".ripgreprc", ".mise.toml", "mise.toml"),
        *(".profile", ".inputrc", ".kshrc", ".cshrc", ".tcshrc", ".login", ".logout", "config.fish", ".xprofile"),
        *(".vimrc", ".gvimrc", ".exrc", ".nvimrc", ".nvim.lua", ".emacs", ".dir-locals.el", ".gdbinit", ".lldbinit"),
        *(".rprofile", ".irbrc", ".pryrc", ".pdbrc", ".psqlrc", ".sqliterc", ".pythonrc", ".screenrc", ".tmux.conf"),
        *(".xinitrc", ".netrc", ".curlrc", ".wgetrc", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", ".condarc"),
        *(".bazelrc", ".pre-commit-config.yaml", ".pre-commit-config.yml", ".pre-commit-hooks.yaml"),
        *("lefthook-local.yml", "lefthook-local.yaml", ".overcommit.yml", ".simple-git-hooks.json"),
        *("lefthook.yml", "lefthook.yaml", ".lefthook.yml", ".lefthook.yaml"),
        *(".gitlab-ci.yml", ".gitlab-ci.yaml", ".travis.yml", ".drone.yml", "azure-pipelines.yml", "jenkinsfile"),
        *("azure-pipelines.yaml", "cloudbuild.yaml", "buildspec.yml", ".woodpecker.yml", ".build.yml", ".zuul.yaml"),
        *("bitbucket-pipelines.yml", ".appveyor.yml", "appveyor.yml", ".cirrus.yml"),
        *("claude.md", "claude.local.md", "agents.md", "agents.override.md", "gemini.md", "copilot-instructions.md"),
        *(".cursorrules", ".windsurfrules", ".roorules", "opencode.json", "opencode.jsonc"),
        *("qwen.md", ".goosehints", ".aider.conf.yml"),
    )
)
"""Files, in any folder, that shells, tools, CI services or agents run or obey; in lower case."""

PROTECTED_BEGINNINGS = (".bash", ".zsh", ".zprofile", ".zlog", ".envrc", ".claude", ".lintstagedrc", "git~")
"""Beginnings of protected names: what shells and agents read; `git~1` is the short name of `.git` on Windows' disks."""

PROTECTED_ENDINGS = (".code-workspace", ".git")
"""Endings of protected names: editor workspaces with tasks, and bare repositories with hooks."""


MAX_PATH_BYTES = 4096
"""PATH_MAX of Linux."""


@dataclass(frozen=True)
class Target:
    """A place that an answer may be written to.

    Attributes:
        path: absolute, without a link below the root.
        root: the folder that allows it, resolved.
    """

    path: Path
    root: Path

    @property
    def relative(self) -> Path:
        """The path below the root."""
        return self.path.relative_to(self.root)


def draft_target(path: Path, roots: Sequence[Path], check: Callable[[Path], None]) -> Target:
    """Check the place that a user or agent names.

    Args:
        path: absolute, as named.
        roots: the folders that allow files, resolved.
        check: refuses a resolved path inside the roots that may not be read either, such as a secret's.

    Raises:
        FileAccessError: of kind `name`, `link`, `outside`, `protected`, `folder`, `special`, `read-only`, or one of
            `check`.
    """
    assert path.is_absolute(), path
    if any(unicodedata.category(letter) == "Cc" for letter in str(path)):
        raise FileAccessError(f"{str(path)!r}: a name with control characters is not written. Choose another.", "name")
    if not _can_be_a_name(path):
        raise FileAccessError(f"{str(path)[:80]!a}: no file can be called so. Choose a shorter, plain name.", "name")
    path = _existing_spelling(path)
    _refuse_links(path, roots)
    resolved = Path(os.path.realpath(path))
    holders = [root for root in roots if resolved != root and resolved.is_relative_to(root)]
    if resolved in roots:
        raise FileAccessError(f"{path} is a folder. Name a file in it.", "folder")
    if not holders:
        allowed = ", ".join(map(str, roots)) or "none counts"
        raise FileAccessError(
            f"{path} is outside the folders that files may be written to ({allowed}). "
            "Choose a path inside, or add the folder to the setting `roots`.",
            "outside",
        )
    target = Target(resolved, max(holders, key=lambda root: len(root.parts)))
    if (part := protected_part(target)) is not None:
        raise FileAccessError(
            f"{path} is not written: programs run or obey {part}. Write a draft elsewhere, and move it after a look.",
            "protected",
        )
    check(resolved)
    _require_file_or_nothing(resolved)
    folder = next(_existing_parents(resolved))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileAccessError(f"{path} is not written: {folder} is read-only. Choose another path.", "read-only")
    return target


def protected_part(target: Target) -> str | None:
    """Return the part of the path that is protected, None where there is none. Only parts below the root count."""
    parts = [folded(part) for part in target.path.parts]
    above = len(target.root.parts)
    for place in range(above, len(parts)):
        name, shown = parts[place], target.path.parts[place]
        if name in PROTECTED_FILES | PROTECTED_FOLDERS or name.endswith(PROTECTED_ENDINGS):
            return shown
        if name.startswith(PROTECTED_BEGINNINGS):
            return shown
        if (parts[place - 1], name) in PROTECTED_FOLDER_PAIRS:
            return f"{target.path.parts[place - 1]}/{shown}"
    for folder in target.path.parents[: len(parts) - above]:
        # git obeys a bare repository in a working tree, hooks and all.
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir():
            return f"the repository {folder.name}"
    return None


def _can_be_a_name(path: Path) -> bool:
    try:
        return len(os.fsencode(path)) < MAX_PATH_BYTES and all(len(os.fsencode(part)) < 256 for part in path.parts)
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
        return False


def _existing_spelling(path: Path) -> Path:
    """Return the composed or decomposed form of the path that exists; agents send NFC, some disks keep NFD."""
    forms = (path, *(Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD")))
    return next((form for form in forms if os.path.lexists(form)), path)


def _refuse_links(path: Path, roots: Sequence[Path]) -> None:
    """Refuse links in and below a root; those on the way to it (such as macOS' /tmp) are the user's."""
    for place in (*reversed(path.parents), path):
        if os.path.islink(place) and _inside(Path(os.path.realpath(place.parent)), roots):
            raise FileAccessError(
                f"{path} leads through the link {place}, and nothing is written through links. Name the real path.",
                "link",
            )


def _inside(folder: Path, roots: Sequence[Path]) -> bool:
    return any(folder.is_relative_to(root) for root in roots)


def _require_file_or_nothing(path: Path) -> None:
    for folder in _existing_parents(path):
        if not folder.is_dir():
            raise FileAccessError(f"{path}: {folder} is a file, not a folder. Choose another path.", "folder")
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # It is not there, or the write will say why it cannot be looked at.
    if stat.S_ISDIR(mode):
        raise FileAccessError(f"{path} is a folder. Name a file in it.", "folder")
    if not stat.S_ISREG(mode):
        raise FileAccessError(f"{path} is no regular file, and only those are written. Choose another.", "special")


def _existing_parents(path: Path) -> Iterator[Path]:
    return (folder for folder in path.parents if os.path.lexists(folder))
