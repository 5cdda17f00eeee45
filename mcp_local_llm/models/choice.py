"""The file of the saved choice, which other tools read as well: one line with the id of a model."""

from pathlib import Path

from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.setup.replaced_file import real_place, replace_file
from mcp_local_llm.values.errors import ConfigError

MAX_BYTES = 4096
"""The most bytes of the file."""


class ChoiceFile:
    """Reads and writes the choice; it is replaced in one step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str | None:
        """Return the first line, or None where there is no choice yet (no file, or an empty one).

        Raises:
            ConfigError: the file is there and cannot be read as a line of text.
        """
        try:
            lines = read_regular(self.path, MAX_BYTES).decode("utf-8-sig").strip().splitlines()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error.strerror or str(error)) from error
        except UnicodeDecodeError as error:
            raise self._unreadable("it is not a line of text") from error
        return lines[0].strip() if lines else None

    def write(self, name: str) -> None:
        """Replace the choice; make the folder where it is missing.

        Raises:
            ConfigError: the file cannot be written.
        """
        try:
            target = real_place(self.path)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(target, f"{name}\n".encode())
        except OSError as error:
            raise ConfigError(f"The choice could not be saved in {self.path}: {error.strerror or error}.") from error

    def clear(self) -> None:
        """Remove the choice.

        Raises:
            ConfigError: the file cannot be removed.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"The choice could not be removed from {self.path}: {error.strerror}.") from error

    def _unreadable(self, reason: str) -> ConfigError:
        return ConfigError(f"{self.path} cannot be read: {reason}. Remove it, or choose with set_model.")
