"""Where an answer may be written."""

import os
import unicodedata
from pathlib import Path

import pytest

from mcp_local_llm.files.writing.targets import draft_target
from mcp_local_llm.values.errors import FileAccessError


def no_secret(path: Path) -> None:
    """Refuse what the roots' rules refuse."""
    if path.name.casefold().startswith(".env"):
        raise FileAccessError(f"{path} is a secret by its name.", "secret")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = Path(os.path.realpath(tmp_path)) / "project"
    (root / "src").mkdir(parents=True)
    (root.parent / "project-evil").mkdir()
    (root.parent / "outside").mkdir()
    return root


def kind(path: Path, *roots: Path) -> str:
    """The kind of the refusal, empty where the place will do."""
    try:
        draft_target(path, roots, no_secret)
    except FileAccessError as error:
        return error.kind if str(path) in str(error) or repr(str(path)) in str(error) else "unnamed"
    return ""


PROTECTED = (
    *(".git/config", ".git/hooks/pre-commit", "sub/.git", ".GIT/config", ".Git/x", ".gi\u200dt/config", ".git./config"),
    *("GIT~1/config", "other.git/hooks/post-update", ".githooks/pre-push", ".hg/hgrc"),
    *(".claude/settings.json", ".claude/commands/x.md", "sub/.claude/agents/a.md", ".claude-plugin/plugin.json"),
    *(".codex/config.toml", ".cursor/mcp.json", ".gemini/settings.json", ".opencode/agent.md"),
    *(".vscode/tasks.json", ".VSCode/settings.json", ".idea/workspace.xml", ".zed/tasks.json", "x.code-workspace"),
    *(".husky/pre-commit", ".devcontainer/devcontainer.json", ".cargo/config.toml", ".yarn/plugins/p.cjs"),
    *(".mvn/jvm.config", ".circleci/config.yml", ".github/workflows/ci.yml", ".GitHub/Workflows/ci.yml"),
    *("packages/a/.github/workflows/x.yaml", ".github/actions/a/action.yml", ".gitlab-ci.yml", ".travis.yml"),
    *(".mcp.json", "sub/.mcp.json", ".MCP.json", ".claude.json", ".gitconfig", ".gitmodules", ".ripgreprc", ".envrc"),
    *(".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", "home/.zprofile", ".cshrc", ".inputrc"),
    *(".config/fish/config.fish", ".config/git/hooks/x", ".npmrc", ".yarnrc.yml", ".pre-commit-config.yaml"),
    *("CLAUDE.md", "sub/AGENTS.md", "GEMINI.md", ".cursorrules", ".vimrc", ".ssh/config", "Jenkinsfile", "mise.toml"),
    *(".windsurf/rules/x.md", ".github/hooks/x.json", ".agents/skills/x.md", ".lintstagedrc.json", ".lintstagedrc"),
    *("azure-pipelines.yaml", "lefthook-local.yml", ".woodpecker/ci.yaml", ".config/systemd/user/x.service"),
    *(".zsh_aliases", ".bash_functions", ".Rprofile", ".envrc.local", ".claude/x", ".bashrc.d/10-path", "sub/.pdbrc"),
)


@pytest.mark.parametrize("name", PROTECTED)
def test_what_programs_run_or_obey_is_never_a_target(project: Path, name: str) -> None:
    assert kind(project / name, project) == "protected"


@pytest.mark.parametrize(
    "name",
    [
        *("a.py", "src/a.py", "new/folder/a.py", "Makefile", "package.json", "pyproject.toml", "conftest.py"),
        *(".github/pull_request_template.md", ".gitignore", ".gitattributes", ".editorconfig", "git/config.py"),
        *("src/claude.py", "docs/husky.md", "workflows/x.yml", "vscode/tasks.json", "-rf", ":colon", "a b.txt", "é.md"),
        *("[id].tsx", "x{1}.py", "bashrc", "src/profile", "digit.git.md", "agents.py", ".dockerignore"),
    ],
)
def test_project_files_are_targets(project: Path, name: str) -> None:
    assert kind(project / name, project) == ""


@pytest.mark.parametrize("name", [".env", ".ENV", "src/.env.local"])
def test_a_secrets_name_is_no_target(project: Path, name: str) -> None:
    assert kind(project / name, project) == "secret"


def test_only_places_below_a_root_are_targets(project: Path) -> None:
    assert kind(project.parent / "outside/a.py", project) == "outside"
    assert kind(project.parent / "project-evil/a.py", project) == "outside"
    assert kind(project / "../outside/a.py", project) == "outside"
    assert kind(project / "src/../../outside/a.py", project) == "outside"
    assert kind(project / "src/../a.py", project) == ""
    assert kind(project, project) == "folder"
    assert kind(project / "src", project) == "folder"
    assert kind(project / "a.py") == "outside"
    assert kind(Path("/etc/passwd"), project) == "outside"


def test_nothing_is_written_through_a_link(project: Path) -> None:
    outside, evil = project.parent / "outside", project.parent / "project-evil"
    (project / "src/real.py").write_text("x = 1\n")
    (project / "to-file").symlink_to(project / "src/real.py")
    (project / "to-nothing").symlink_to(project / "src/none.py")
    (project / "to-src").symlink_to(project / "src")
    (project / "to-root").symlink_to(project)
    (project / "to-outside").symlink_to(outside)
    (project / "loop").symlink_to(project / "loop")
    (outside / "back").symlink_to(project)
    (evil / "home").symlink_to(project / "src")
    for name in (
        *("to-file", "to-nothing", "to-src/real.py", "to-src/new.py", "to-root/a.py", "to-outside/a.py", "loop"),
        *("loop/a.py", "to-src/../a.py", "to-outside/back/a.py", "src/../to-file"),
    ):
        assert kind(project / name, project) == "link", name
    # A link on the way to the root is the user's own; one into the middle of it is a link to a folder of the root.
    assert kind(outside / "back/a.py", project) == ""
    assert draft_target(outside / "back/a.py", [project], no_secret).path == project / "a.py"


def test_only_regular_files_and_free_names_are_targets(project: Path) -> None:
    os.mkfifo(project / "fifo")
    (project / "file").write_text("x")
    assert kind(project / "fifo", project) == "special"
    assert kind(project / "file/below.py", project) == "folder"
    assert kind(project / "a\nb.py", project) == "name"
    assert kind(project / "a\x1b[2J.py", project) == "name"


def test_a_root_in_a_protected_folder_counts_because_the_user_chose_it(project: Path) -> None:
    tree = project / ".claude/worktrees/one"
    tree.mkdir(parents=True)
    assert kind(tree / "a.py", tree) == ""
    assert kind(tree / "a.py", project, tree) == ""
    assert kind(tree / "a.py", project) == "protected"
    assert kind(tree / ".claude/settings.json", tree) == "protected"


def test_a_bare_repository_in_a_folder_is_no_place_for_drafts(project: Path) -> None:
    bare = project / "vendor/bare"
    for folder in ("objects", "refs", "hooks"):
        (bare / folder).mkdir(parents=True)
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    assert kind(bare / "hooks/post-checkout", project) == "protected"
    assert kind(bare / "config", project) == "protected"
    assert kind(project / "vendor/other", project) == ""


def test_a_name_in_the_other_unicode_form_is_the_file_that_exists(project: Path) -> None:
    old = unicodedata.normalize("NFD", "é.md")
    (project / old).write_text("x")
    assert draft_target(project / "é.md", [project], no_secret).path.name == old


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_before_anything_is_computed(project: Path) -> None:
    (project / "src").chmod(0o555)
    assert kind(project / "src/a.py", project) == "read-only"
    assert kind(project / "src/new/a.py", project) == "read-only"
