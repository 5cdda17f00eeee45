"""Makes the rows of the list of models and profiles. Pure functions."""

from collections.abc import Mapping

from mcp_local_llm.models.fit import LoadPlan
from mcp_local_llm.models.known import strengths
from mcp_local_llm.models.speed import Speed
from mcp_local_llm.values.model import human_bytes
from mcp_local_llm.values.profile import Profile
from mcp_local_llm.values.results import ModelRow, ProfileRow


def model_row(
    number: int, plan: LoadPlan, speed: Speed | None, prefill: Speed | None = None, *, resident: bool
) -> ModelRow:
    """Return the row of one model: its facts, whether it fits, its speeds and its strengths."""
    model = plan.model
    return ModelRow(
        number=number,
        name=model.id,
        size_bytes=None if model.endpoint else model.weight_bytes,
        parameters=model.parameters,
        quantization=str(model.quantization) if model.quantization else None,
        context_length=model.context_length,
        fits=model.chats and (resident or plan.fits),
        fit=_fit_words(plan, resident=resident),
        tokens_per_second=round(speed.tokens_per_second, 1) if speed else None,
        speed=str(speed) if speed else "not known",
        prefill_tokens_per_second=round(prefill.tokens_per_second, 1) if prefill else None,
        good_for=strengths(model),
        tools=None if model.endpoint else model.tool_calling,
        resident=resident,
        endpoint=model.endpoint.url if model.endpoint else None,
    )


def profile_rows(profiles: Mapping[str, Profile], *, chosen: str) -> list[ProfileRow]:
    """Return the rows of the profiles; `chosen` is the name of the chosen profile, or empty."""
    return [
        ProfileRow(name=name, model=profile.query, sets=profile.summary(), chosen=name == chosen)
        for name, profile in profiles.items()
    ]


def _fit_words(plan: LoadPlan, *, resident: bool) -> str:
    if plan.model.problems:
        return f"cannot be chosen: {'; '.join(plan.model.problems)}"
    if not plan.model.converses:
        return "no chat: a base model without a chat template, for /v1/completions only"
    if plan.model.endpoint is not None:
        return f"on {plan.model.endpoint.name}"
    if resident:
        return "yes, resident"
    if plan.fits:
        return f"yes, {human_bytes(plan.needed)}"
    return f"no, needs {human_bytes(plan.needed)} of {human_bytes(plan.ceiling)}"
