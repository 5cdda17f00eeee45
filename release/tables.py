"""Writes the guide's tables, whose numbers are computed by the code that decides at run time.

`python -m release.tables` writes them into docs/guide.md; a test says when they are out of date.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from mcp_local_llm.models.fit import lasting_ceiling, published_rule
from mcp_local_llm.models.known import KNOWN_MODELS, RECOMMENDATIONS, KnownModel
from mcp_local_llm.models.speed import Speed, estimate_speed
from mcp_local_llm.setup.machine import chip_bandwidth, working_set_limit
from mcp_local_llm.values.machine import Memory
from mcp_local_llm.values.model import ModelInfo, human_bytes

GUIDE = Path(__file__).parents[1] / "docs" / "guide.md"
TABLE = re.compile(r"(<!-- table: (?P<name>\w+) -->\n).*?(<!-- /table -->)", re.DOTALL)

BITS = (4, 6, 8, 16)
SIZES = (1, 4, 8, 14, 32, 70)
"""Billions of parameters."""
MEMORIES = (8, 16, 24, 32, 48, 64, 96, 128)
"""Gigabytes that Macs are sold with."""
CHIPS = (("M1", 8), ("M2 Pro", 12), ("M3", 8), ("M4", 10), ("M4 Pro", 14), ("M4 Max", 16), ("M5", 10), ("M3 Ultra", 32))
"""Chip and CPU cores, in which variants differ."""


def ceiling(gigabytes: int) -> int:
    """Return the bytes that a model may use on a Mac with so much memory while nothing else needs it."""
    total = gigabytes * 2**30
    return lasting_ceiling(Memory(total, total, working_set_limit(total)))


def speed(model: KnownModel, bits: int, bandwidth: float) -> Speed:
    """Return the estimate that list_models shows before a speed was measured."""
    info = ModelInfo(
        id=model.repository(bits),
        path=Path("x"),
        source="huggingface",
        parameters=model.parameters,
        active_parameters=model.active_parameters,
        weight_bytes=model.parameters * bits // 8,
        active_bytes=model.active_parameters * bits // 8,
    )
    found = estimate_speed(info, bandwidth)
    assert found is not None
    return found


def memory_by_size() -> Iterable[Sequence[str]]:
    """Return parameters × bits ÷ 8 + 2 GB."""
    yield ("parameters", *(f"{bits} bits" for bits in BITS))
    for size in SIZES:
        yield (f"{size} billion", *(human_bytes(published_rule(size * 10**9, bits)) for bits in BITS))


def fits() -> Iterable[Sequence[str]]:
    """Return the largest size that fits into the memory of a Mac."""
    yield ("memory", "a model may use", "largest at 4 bits", "largest at 8 bits")
    for gigabytes in MEMORIES:
        room = ceiling(gigabytes)
        yield (f"{gigabytes} GB", human_bytes(room), *(_largest(room, bits) for bits in (4, 8)))


def speeds() -> Iterable[Sequence[str]]:
    """Return the estimated speed of well-known models at 4 bits on several chips."""
    yield ("chip", "bandwidth", *(model.name for model in KNOWN_MODELS[:5]))
    for chip, cores in CHIPS:
        bandwidth = chip_bandwidth(f"Apple {chip}", cores)
        assert bandwidth is not None
        yield (
            chip,
            f"{bandwidth / 1e9:.0f} GB/s",
            *(f"{speed(model, 4, bandwidth).tokens_per_second:.0f}" for model in KNOWN_MODELS[:5]),
        )


def words() -> Iterable[Sequence[str]]:
    """Return the words for speeds, at their lower bounds."""
    yield ("tokens per second", "word", "200 words of answer take")
    for least, most, example in ((30, None, 30), (18, 30, 18), (8, 18, 8), (0, 8, 4)):
        title = f"{least} and more" if most is None else f"below {most}" if least == 0 else f"{least} to {most}"
        # About four tokens for three words of English.
        yield (title, Speed(example).word, f"{200 * 4 / 3 / example:.0f} s at {example}")


def tasks() -> Iterable[Sequence[str]]:
    """Return the recommendations of `doctor`."""
    yield ("work", "first choice", "smaller or other")
    for advice in RECOMMENDATIONS:
        yield (advice.work, *advice.models)


TABLES: Mapping[str, Callable[[], Iterable[Sequence[str]]]] = {
    "memory_by_size": memory_by_size,
    "fits": fits,
    "speeds": speeds,
    "words": words,
    "tasks": tasks,
}


def with_tables(text: str) -> str:
    """Return the page with its tables written anew."""
    return TABLE.sub(lambda found: f"{found[1]}{_markdown(TABLES[found['name']]())}{found[3]}", text)


def _largest(room: int, bits: int) -> str:
    billions = (room - published_rule(0, bits)) * 8 // bits // 10**9
    return f"{billions} billion parameters" if billions > 0 else "none"


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    head, *others = rows
    lines = [head, ["---"] * len(head), *others]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    GUIDE.write_text(with_tables(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
