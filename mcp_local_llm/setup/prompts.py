"""Prompt texts, from the package in a wheel or from the repository in an editable install."""

from pathlib import Path

PACKAGED = Path(__file__).parents[1] / "prompts"
CHECKOUT = Path(__file__).parents[2] / "prompts"


def prompt_names() -> tuple[str, ...]:
    """Return the names of all prompts of this installation."""
    found = (path.stem for folder in (PACKAGED, CHECKOUT) if folder.is_dir() for path in folder.glob("*.md"))
    return tuple(sorted(set(found)))


def read_prompt(name: str) -> str:
    """Return the text of `prompts/NAME.md`.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for folder in (PACKAGED, CHECKOUT):
        path = folder / f"{name}.md"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise FileNotFoundError(f"prompts/{name}.md is neither in {PACKAGED} nor in {CHECKOUT}")
