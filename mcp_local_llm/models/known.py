"""The strengths of models: a table of well-known models, recommendations, and a description of any other. Pure.

The tables are recommendations, not measurements.
"""

import re
from dataclasses import dataclass

from mcp_local_llm.values.model import ModelInfo, human_count

# The end of a repository's name that names only the format: -4bit, -MLX-8bit, -4bit-DWQ, -bf16.
_QUANTIZATION = re.compile(r"(?:-mlx)?(?:-(?:\d+bit|bf16|fp16|mxfp4|dwq))*$")


@dataclass(frozen=True)
class KnownModel:
    """A well-known model.

    Attributes:
        name: without quantization, as in the names of its repositories.
        parameters: number of weights; `active_parameters`: weights that are used for one token.
        bits: of the quantizations that `mlx-community` publishes.
        strengths: a few words.
    """

    name: str
    parameters: int
    active_parameters: int
    strengths: str
    bits: tuple[int, ...] = (4, 6, 8)

    def repository(self, bits: int) -> str:
        """Return the id of the repository with this quantization."""
        return f"mlx-community/{self.name}-{bits}bit"


KNOWN_MODELS = (
    KnownModel("Qwen3-4B", 4_022_000_000, 4_022_000_000, "small: summaries, commit messages, quick questions; thinks"),
    KnownModel("Qwen2.5-Coder-7B-Instruct", 7_616_000_000, 7_616_000_000, "quick edits, boilerplate, docstrings"),
    KnownModel("Qwen2.5-Coder-14B-Instruct", 14_770_000_000, 14_770_000_000, "everyday coding, tests, explanations"),
    KnownModel(
        "Qwen2.5-Coder-32B-Instruct", 32_764_000_000, 32_764_000_000, "refactoring and review; slow but careful"
    ),
    KnownModel(
        "Qwen3-Coder-30B-A3B-Instruct",
        30_532_000_000,
        3_345_000_000,
        "coding with tools at the speed of a small model; long context",
    ),
    KnownModel(
        "Qwen3-30B-A3B",
        30_532_000_000,
        3_345_000_000,
        "reasoning, planning and hard questions; thinks before it answers",
    ),
)
"""Well-known models, small ones first."""


@dataclass(frozen=True)
class Recommendation:
    """The recommended models for one kind of work, best first."""

    work: str
    models: tuple[str, ...]


RECOMMENDATIONS = (
    Recommendation("quick edits", ("Qwen2.5-Coder-7B-Instruct-4bit", "Qwen3-4B-4bit")),
    Recommendation("everyday coding", ("Qwen3-Coder-30B-A3B-Instruct-4bit", "Qwen2.5-Coder-14B-Instruct-4bit")),
    Recommendation("refactoring and review", ("Qwen2.5-Coder-32B-Instruct-4bit", "Qwen3-Coder-30B-A3B-Instruct-6bit")),
    Recommendation("best quality", ("Qwen2.5-Coder-32B-Instruct-8bit", "Qwen3-Coder-30B-A3B-Instruct-8bit")),
    Recommendation("hard questions", ("Qwen3-30B-A3B-4bit", "Qwen3-4B-8bit")),
)
"""Recommendations; for each kind of work the first model that fits is the one to choose."""


def known_model(model_id: str) -> KnownModel | None:
    """Return the well-known model of an id with any publisher and quantization; None for any other."""
    name = _QUANTIZATION.sub("", model_id.rpartition("/")[2].casefold())
    return next((entry for entry in KNOWN_MODELS if entry.name.casefold() == name), None)


def strengths(model: ModelInfo) -> str:
    """Return the strengths of a model: from the table of well-known models, else from its files.

    A model below 3 billion parameters is for short tasks, from 24 billion for hard tasks; thinking, tools (or a chat
    template without them) and a context window from 100,000 tokens are named.
    """
    if model.diagnostic:
        return "for diagnosis and tests only; its answers mean nothing"
    if entry := known_model(model.id):
        return entry.strengths
    words: list[str] = []
    if model.parameters:
        words.append(_by_size(model, model.parameters))
    if model.thinking:
        words.append("thinks before it answers")
    if model.tool_calling:
        words.append("calls tools")
    elif model.parameters and model.format == "mlx" and model.chat_template:
        words.append("its chat template knows no tools")
    if (model.context_length or 0) >= 100_000:
        words.append("long context")
    if not model.chat_template:
        words.append("a base model without a chat template: completes text, does not converse")
    return "; ".join(words) or "nothing is known of it"


def _by_size(model: ModelInfo, parameters: int) -> str:
    if model.sparse and model.active_parameters:
        sizes = f"{human_count(parameters)} parameters, {human_count(model.active_parameters)} active"
        return f"mixture of experts ({sizes}): quick for its size"
    size = f"{human_count(parameters)} parameters"
    for least, words in ((24_000_000_000, "hard tasks"), (3_000_000_000, "everyday tasks")):
        if parameters >= least:
            return f"{words} ({size})"
    return f"short and simple tasks ({size})"
