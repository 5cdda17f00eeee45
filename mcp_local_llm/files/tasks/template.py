"""Task templates: a Markdown file with TOML front matter between lines of `+++`, then the task with `{message}` in it.

The parts of a prompt have an order: the files, the task with the caller's message, the form of the answer last.
"""

import difflib
import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mcp_local_llm.files.tasks.checks import CheckName
from mcp_local_llm.setup.places import TASKS, prompt_names, read_prompt
from mcp_local_llm.setup.regular_file import read_regular
from mcp_local_llm.values.chat import MaxTokens, SamplingParams, Temperature
from mcp_local_llm.values.errors import ConfigError, InvalidRequestError, shortened
from mcp_local_llm.wire.json_values import mended_json

MESSAGE = "{message}"
"""The place of the caller's message in a template, alone on its line."""

MAX_TEMPLATE_BYTES = 64 * 1024
"""A longer file is no template."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_FRONT_MATTER = re.compile(r"\+\+\+\n(?P<front>.*?\n)\+\+\+\n(?P<body>.*)", re.DOTALL)


def _schema(value: object) -> object:
    """Read a JSON Schema that is written as JSON text."""
    # Here and not above: it takes megabytes and a fiftieth of a second, and a session that only asks for its status
    # comes by.
    from jsonschema import Draft202012Validator, SchemaError

    try:
        schema: Any = json.loads(mended_json(value)) if isinstance(value, str) else value
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"it is no JSON Schema: {shortened(error.message)}") from error
    except RecursionError as error:
        raise ValueError("it is no JSON Schema: it is nested without end") from error
    return schema


class TaskTemplate(BaseModel):
    """A task that small models do well, with everything that it needs but the files.

    Attributes:
        name: its file's name without the ending.
        description: one sentence for people.
        shape: `rows` is asked of each file, `chat` answers in text, `draft` becomes a file.
        message: whether the task is whole without the caller's message.
        temperature, max_tokens, thinking: used where the call sets none.
        answer_schema: JSON Schema of the answer, `schema` in the file; a call's own wins.
        check: what the answer is checked for.
        body: task and form of the answer, with the place of the message.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str
    description: Annotated[str, Field(min_length=1, max_length=200)]
    shape: Literal["rows", "chat", "draft"]
    message: Literal["required", "optional"] = "optional"
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    thinking: bool | None = None
    answer_schema: Annotated[dict[str, Any] | None, BeforeValidator(_schema), Field(alias="schema")] = None
    check: tuple[CheckName, ...] = ()
    body: str

    @property
    def sampling(self) -> SamplingParams:
        """Sampling parameters for calls that leave them unset."""
        return SamplingParams(max_tokens=self.max_tokens, temperature=self.temperature)

    def task(self, message: str) -> str:
        """Return the text of the task, completed by the caller's message.

        Raises:
            InvalidRequestError: the task is not whole without a message.
        """
        words = message.strip()
        if not words and self.message == "required":
            raise InvalidRequestError(
                f"The template {self.name!r} needs a message that completes it: {self.description}."
            )
        before, _, form = self.body.partition(MESSAGE)
        return "\n\n".join(part for part in (before.strip(), words, form.strip()) if part)


class Templates:
    """The templates of this installation, and those of the user where a door offers them.

    Args:
        user_folder: the folder of the user's templates; a template of its own replaces ours of the same name.
    """

    def __init__(self, user_folder: Path | None = None) -> None:
        self._folder = user_folder

    def names(self) -> tuple[str, ...]:
        """Return the names of all templates, without reading them."""
        own = [path.stem for path in self._folder.glob("*.md")] if self._folder is not None else []
        return tuple(sorted({*prompt_names(TASKS), *(name for name in own if _NAME.fullmatch(name))}))

    def load(self, name: str) -> TaskTemplate:
        """Read a template.

        Raises:
            InvalidRequestError: there is none of this name.
            ConfigError: its file is not valid; names the key.
        """
        known = self.names()
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise InvalidRequestError(f"There is no template {name[:60]!r}.{meant} Templates: {', '.join(known)}.")
        path = None if self._folder is None else self._folder / f"{name}.md"
        if path is None or not path.exists():
            return read_template(name, read_prompt(name, TASKS), f"prompts/{TASKS}/{name}.md")
        try:
            text = read_regular(path, MAX_TEMPLATE_BYTES).decode("utf-8-sig")
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}. Mend the file or remove it.") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is not UTF-8. Mend the file or remove it.") from error
        return read_template(name, text, str(path))


def read_template(name: str, text: str, where: str) -> TaskTemplate:
    """Read a template's text; `where` names it in errors.

    Raises:
        ConfigError: names the file, the key and what is allowed.
    """
    parts = _FRONT_MATTER.fullmatch(text.replace("\r\n", "\n"))
    if parts is None:
        raise ConfigError(f"{where}: it has to begin with TOML between two lines of +++, as in docs/templates.md.")
    if not re.search(rf"^{re.escape(MESSAGE)}$", parts["body"], re.MULTILINE) or parts["body"].count(MESSAGE) != 1:
        raise ConfigError(f"{where}: the text needs one line that is {MESSAGE}, where the caller's message goes.")
    try:
        values = tomllib.loads(parts["front"])
    except (ValueError, RecursionError) as error:  # no TOML, a number of thousands of digits, nested without end
        raise ConfigError(f"{where}: the front matter is no TOML: {error}.") from error
    try:
        return TaskTemplate.model_validate(
            {**values, "name": name, "body": parts["body"]}, by_name=False, by_alias=True
        )
    except ValidationError as error:
        problems = (
            f"'{shortened('.'.join(map(str, one['loc'])))}': {one['msg']}" for one in error.errors(include_url=False)
        )
        allowed = ", ".join(field.alias or key for key, field in TaskTemplate.model_fields.items())
        raise ConfigError(f"{where}: {'; '.join(problems)}. Known keys: {allowed}.") from error
