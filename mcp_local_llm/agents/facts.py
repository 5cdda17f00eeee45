"""The facts of a model that a start depends on, asked for through the verbs."""

from mcp_local_llm.agents.forms import SAMPLE
from mcp_local_llm.agents.order import ModelFacts
from mcp_local_llm.llm.llm import LLM
from mcp_local_llm.values.chat import ChatRequest, Message, ToolSpec
from mcp_local_llm.values.progress import ReportProgress
from mcp_local_llm.values.results import ModelRow, ModelTable

_TOOL_REQUEST = ChatRequest(
    messages=(Message(role="user", content="Read the file."),),
    tools=(ToolSpec(name="Read", description="Reads a file.", parameters={"type": "object", "properties": {}}),),
)


BYTES_PER_TOKEN = 4
"""Of instructions, where no tokenizer counts them; SmolLM2's needs one for 4.0 bytes of the agents' requests."""


async def loaded_facts(llm: LLM, name: str | None, instructions: str, report: ReportProgress) -> ModelFacts:
    """Load the model that `name` means, None for the saved choice, and return its facts. Raises as `LLM.count`."""
    # A request with a tool is counted too: it fails here where the settings refuse tools without a template for them.
    counts = await llm.count((SAMPLE, instructions, _TOOL_REQUEST), report, model=name)
    table = await llm.list_models()
    row = next((row for row in table.models if row.name == counts.model), None)
    return ModelFacts(
        name=_profile(table, name) or counts.model,
        window=counts.window,
        tools=row.tools if row else None,
        sample_tokens=None if counts.estimated else counts.tokens[0],
        instruction_tokens=_estimated(instructions) if counts.estimated else counts.tokens[1],
        prefill=row.prefill_tokens_per_second if row else None,
    )


async def listed_facts(llm: LLM, name: str | None, instructions: str = "") -> ModelFacts | None:
    """Return what the list shows of a model without loading it; None where only a load finds out which one is meant."""
    table = await llm.list_models()
    row = next((row for row in table.models if _is_named(row, name or table.chosen)), None)
    if row is None or not row.fits:
        return None
    return ModelFacts(
        name=_profile(table, name) or row.name,
        window=row.context_length,
        tools=row.tools,
        instruction_tokens=_estimated(instructions),
        prefill=row.prefill_tokens_per_second,
    )


def _estimated(text: str) -> int:
    return len(text.encode()) // BYTES_PER_TOKEN


def _is_named(row: ModelRow, name: str | None) -> bool:
    return name is not None and name in (row.name, str(row.number), *row.roles)


def _profile(table: ModelTable, name: str | None) -> str | None:
    """Return the name of the profile that is meant: requests have to name it, or its values would not apply."""
    fits = (profile.name for profile in table.profiles if profile.name == name or (not name and profile.chosen))
    return next(fits, None)
