"""Resolves the model that a query of the user means. Pure functions.

It must not know folders, the resident model or memory: models and roles are values, and `fits` is passed in.

The first level with a match decides: number of the list, role, full id, last part of the id, every word equals a word
of the id, every word begins one, every word occurs in it. Numbers are never split: `3b` does not match `30B-A3B`, `32B`
or `13B`. The words `gguf` and `mlx` mean the format.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from mcp_local_llm.values.errors import AmbiguousModelError, IncompleteModelError, UnknownModelError
from mcp_local_llm.values.model import ModelInfo, human_bytes

_MAX_CANDIDATES = 10
_MAX_NEAREST = 3
_MAX_NAME = 300
_MIN_LIKENESS = 0.5
_SEPARATORS = re.compile(r"[\s/_:\-]+|(?<!\d)\.|\.(?!\d)")
_SPACED_BITS = re.compile(r"(?<![a-z0-9.])(\d+)[\s_\-]?bits?(?![a-z0-9])")
_NUMBER = re.compile(r"#?\s*(\d{1,4})")
_SIZE = re.compile(r"\d[\d.]*[a-z]+")
# Parts of names that name only the format of the weights: 4bit, bf16, int8, mxfp4, dwq, q4_k_m, q8, iq3_xs.
_QUANTIZATION = re.compile(
    r"(?<![a-z0-9])(?:\d+bit|[bf]p?(?:16|32|8)|int[48]|(?:mx|nv)fp[48]|dwq|awq|gptq|(?:ud[_-])?i?q\d(?:_[0-9a-z]+)*)(?![a-z0-9])"
)
_FORMATS = {"gguf": "gguf", "mlx": "mlx", "safetensors": "mlx"}
_PLAIN_BITS = 16


@dataclass(frozen=True)
class Resolution:
    """The model that a query means.

    Attributes:
        note: explains the resolution to the user; often empty.
        profile: name of the profile that the query names; empty for none.
    """

    model: ModelInfo
    note: str = ""
    profile: str = ""

    @property
    def choice(self) -> str:
        """The text that is saved as the choice."""
        return self.profile or self.model.id


def ordered(models: Iterable[ModelInfo]) -> tuple[ModelInfo, ...]:
    """Return the models in the order of the list: by id, models for diagnosis last."""
    return tuple(sorted(models, key=lambda model: (model.diagnostic, model.id.casefold(), model.id)))


def resolve(
    query: str,
    models: Iterable[ModelInfo],
    *,
    roles: Mapping[str, str | None],
    fits: Callable[[ModelInfo], bool],
) -> Resolution:
    """Return the one model that `query` means.

    Of matches that differ only in quantization, the one with the most bits that fits is returned, with a note. A model
    with problems is never returned, and a model for diagnosis only for its number, role or full name.

    Args:
        query: a number of the list, a role, an id, or words of an id, ignoring case.
        models: all models.
        roles: role in lower case → id; a role without an id is ignored.
        fits: returns whether a model fits into memory now.

    Raises:
        UnknownModelError: no model matches; the message names the nearest.
        AmbiguousModelError: several models match; the message numbers them.
        IncompleteModelError: the model has problems; the message names them.
    """
    listed = ordered(models)
    text = query.strip().strip("\"'`").strip().casefold()
    if not text:
        raise UnknownModelError("No model was named. Call list_models and give a number, a role or part of a name.")
    if len(text) > _MAX_NAME:
        # Comparing a text of megabytes with each name would hold up every call of this process.
        raise UnknownModelError(
            f"No model is called {text[:40] + '...'!r}: that has {len(text):,} characters, and a model's name at most "
            f"{_MAX_NAME}. Call list_models and give a number, a role or part of a name."
        )
    if number := _NUMBER.fullmatch(text):
        return Resolution(_sound(_numbered(int(number[1]), listed)))
    if wanted := roles.get(text):
        return _of_role(query.strip(), wanted, listed)
    if exact := _exact(text, listed):
        return _choose(query, exact, listed, fits)
    for candidates in ([model for model in listed if model.usable], [model for model in listed if not model.usable]):
        hits = _by_words(text, [model for model in candidates if not model.diagnostic])
        if hits:
            return _choose(query, hits, listed, fits)
    raise UnknownModelError(_unknown(query.strip(), text, listed, unset_role=text in roles))


def require_template(model: ModelInfo) -> None:
    """Refuse a model for conversations that has no chat template, before anything is unloaded for it.

    Raises:
        IncompleteModelError: it continues raw text alone.
    """
    if not model.converses:
        raise IncompleteModelError(
            f"{model.id} has no chat template, so it cannot chat: it is a base model, which continues raw text, for "
            "requests to /v1/completions that name it. Choose an instruct model, or add its chat_template.jinja."
        )


def _numbered(number: int, listed: Sequence[ModelInfo]) -> ModelInfo:
    if 1 <= number <= len(listed):
        return listed[number - 1]
    raise UnknownModelError(f"The list has {_count(len(listed))}; there is no number {number}. Call list_models.")


def model_of_role(wanted: str, models: Sequence[ModelInfo]) -> ModelInfo | None:
    """Return the model whose id, or its last part, the registry names for a role; None where it is not here."""
    hits = _exact(wanted.casefold(), models)
    return next((model for model in hits if model.usable), hits[0]) if hits else None


def _of_role(role: str, wanted: str, listed: Sequence[ModelInfo]) -> Resolution:
    model = model_of_role(wanted, listed)
    if model is None:
        raise UnknownModelError(
            f"The role {role!r} stands for {wanted}, which is not on this machine. "
            f"Get it, or name another model.{_nearest(wanted.casefold(), listed)}"
        )
    return Resolution(_sound(model), f"The role {role!r} stands for {model.id}.")


def _exact(text: str, listed: Sequence[ModelInfo]) -> list[ModelInfo]:
    """Return the model with this id, else all models whose ids end in it."""
    text = text.strip("/")
    whole = [model for model in listed if model.id.casefold() == text]
    return whole or [model for model in listed if model.id.casefold().rpartition("/")[2] == text]


def _by_words(text: str, candidates: Sequence[ModelInfo]) -> list[ModelInfo]:
    """Return the matches of the first of the three word levels that has any."""
    words = _words(text)
    if not words:
        return []
    for level in (_equals, _begins, _occurs):
        hits = [model for model in candidates if all(_fits_word(word, model, level) for word in words)]
        if hits:
            return hits
    return []


def _fits_word(word: str, model: ModelInfo, level: Callable[[str, str], bool]) -> bool:
    """Compare one word with a model: with its format, if the word names one and it is known, else with its id."""
    wanted = _FORMATS.get(word)
    if wanted is None or model.format == "unknown" or not model.usable:
        return level(word, model.id)
    return model.format == wanted


def _words(name: str) -> list[str]:
    """Split a name at spaces, slashes, hyphens, underscores and dots, but not inside 2.5; `4-bit` is `4bit`."""
    return [word for word in _SEPARATORS.split(_SPACED_BITS.sub(r"\1bit", name.casefold())) if word]


def _equals(word: str, name: str) -> bool:
    return word in _words(name)


def _begins(word: str, name: str) -> bool:
    """Return whether a word of the name begins with `word`; a size such as `3b` or `4bit` must be a whole word."""
    if _SIZE.fullmatch(word):
        return _equals(word, name)
    return any(part.startswith(word) and _uncut(word, part, 0) for part in _words(name))


def _occurs(word: str, name: str) -> bool:
    """Return whether a word of the name contains `word`; a size must be a whole word."""
    if _SIZE.fullmatch(word):
        return _equals(word, name)
    return any(
        _uncut(word, part, found.start()) for part in _words(name) for found in re.finditer(re.escape(word), part)
    )


def _uncut(word: str, part: str, start: int) -> bool:
    """Return whether `word`, at `start` of `part`, does not split a number."""
    before, after = part[:start], part[start + len(word) :]
    cut_left = word[0].isdigit() and re.search(r"\d\.?$", before)
    cut_right = word[-1].isdigit() and re.match(r"\.?\d", after)
    return not cut_left and not cut_right


def _choose(
    query: str, hits: Sequence[ModelInfo], listed: Sequence[ModelInfo], fits: Callable[[ModelInfo], bool]
) -> Resolution:
    """Return the only match, or the best of matches that differ only in quantization."""
    sound = [model for model in hits if model.usable]
    if not sound:
        raise IncompleteModelError(_unusable(hits))
    if len(sound) == 1:
        return Resolution(sound[0])
    if len({_without_quantization(model) for model in sound}) > 1:
        raise AmbiguousModelError(_candidates(query.strip(), sound, listed), tuple(model.id for model in sound))
    by_bits = sorted(sound, key=lambda model: (_bits(model), model.weight_bytes), reverse=True)
    *most, last = map(_kind, by_bits)
    here = f"It is here in {', '.join(most)} and {last}"
    best = next((model for model in by_bits if fits(model)), None)
    if best:
        return Resolution(best, f"{here}; {_kind(best)} is the best that fits.")
    return Resolution(by_bits[-1], f"{here}; none fits, and {last} is the smallest.")


def _sound(model: ModelInfo) -> ModelInfo:
    if model.usable:
        return model
    raise IncompleteModelError(_unusable([model]))


def _unusable(hits: Sequence[ModelInfo]) -> str:
    faults = " ".join(f"{model.id} cannot be used: {'; '.join(model.problems)}." for model in hits[:_MAX_CANDIDATES])
    if any(problem.startswith("partial download") for model in hits for problem in model.problems):
        return f"{faults} Its full id with download=true completes a download. Or choose another model."
    return f"{faults} Complete or replace it, or choose another model."


def _without_quantization(model: ModelInfo) -> tuple[str, str]:
    if model.endpoint is not None:
        return model.format, model.id  # The quantization of a served model is not known.
    name = _SPACED_BITS.sub(r"\1bit", model.id.casefold())
    return model.format, " ".join(_words(_QUANTIZATION.sub(" ", name)))


def _bits(model: ModelInfo) -> int:
    return model.quantization.bits if model.quantization else _PLAIN_BITS


def _kind(model: ModelInfo) -> str:
    return str(model.quantization) if model.quantization else f"{_PLAIN_BITS}-bit"


def _difference(model: ModelInfo) -> str:
    """Return the facts in which two models with similar names differ."""
    return f"on {model.endpoint.name}" if model.endpoint else f"{human_bytes(model.weight_bytes)}, {_kind(model)}"


def _candidates(query: str, hits: Sequence[ModelInfo], listed: Sequence[ModelInfo]) -> str:
    lines = [f"{query!r} means {len(hits)} models. Give a number or more of the name:"]
    lines += [f"{listed.index(model) + 1:3}. {model.id} ({_difference(model)})" for model in hits[:_MAX_CANDIDATES]]
    if len(hits) > _MAX_CANDIDATES:
        lines.append(f"     and {len(hits) - _MAX_CANDIDATES} more; list_models shows all.")
    return "\n".join(lines)


def _unknown(query: str, text: str, listed: Sequence[ModelInfo], *, unset_role: bool) -> str:
    start = f"The role {query!r} names no model yet" if unset_role else f"No model here is called {query!r}"
    return f"{start}.{_nearest(text, listed)} list_models shows all {len(listed)}."


def _nearest(text: str, listed: Sequence[ModelInfo]) -> str:
    """Return a sentence with the ids that are most similar to the text; empty for none."""
    words = _words(text)

    def likeness(model: ModelInfo) -> float:
        parts = _words(model.id)
        best = (max(SequenceMatcher(None, word, part).ratio() for part in parts) for word in words)
        return sum(best) / len(words) if words and parts else 0.0

    like = sorted(((likeness(model), model.id) for model in listed if model.usable), key=lambda pair: -pair[0])
    near = [name for ratio, name in like[:_MAX_NEAREST] if ratio >= _MIN_LIKENESS]
    return f" Nearest: {', '.join(near)}." if near else ""


def _count(number: int) -> str:
    return "1 model" if number == 1 else f"{number} models"
