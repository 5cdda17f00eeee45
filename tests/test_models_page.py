"""docs/models.md says what the guide and the memory rule say."""

from pathlib import Path

from mcp_local_llm.models.fit import published_rule
from mcp_local_llm.models.known import KNOWN_MODELS, RECOMMENDATIONS
from mcp_local_llm.values.model import human_bytes, human_count

PAGE = (Path(__file__).parent.parent / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_page_lists_every_model_of_the_guide_with_its_memory_by_the_rule() -> None:
    for entry in KNOWN_MODELS:
        sizes = " | ".join(human_bytes(published_rule(entry.parameters, bits)) for bits in (4, 6, 8))
        row = f"| {entry.name} | {human_count(entry.parameters)} | {sizes} | {entry.strengths} |"
        assert row in PAGE, row


def test_the_page_gives_the_advice_of_the_guide() -> None:
    for advice in RECOMMENDATIONS:
        assert f"| {advice.work} | {', '.join(advice.models)} |" in PAGE
