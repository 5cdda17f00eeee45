"""The parser against the installed mlx-lm: what its models write, ours must know."""

import importlib
import inspect
import pkgutil
import re
from typing import Any

import mlx_lm.chat_templates
import mlx_lm.tokenizer_utils as tokenizer_utils
import mlx_lm.tool_parsers
import pytest

from mcp_local_llm.parsing import parse
from mcp_local_llm.parsing.markup import TAG_PAIRS
from mcp_local_llm.parsing.tool_formats.table import CLOSERS, WRAPPERS
from tests.parsing.corpus import RAW

TOOL_PARSERS = sorted(module.name for module in pkgutil.iter_modules(mlx_lm.tool_parsers.__path__))
TEMPLATES = {
    "deepseek_v32": "</\N{FULLWIDTH VERTICAL LINE}DSML\N{FULLWIDTH VERTICAL LINE}invoke>",
    "muse_spark": "to=self",
}
"""mlx-lm's own templates, with a text that the answers behind each of them hold."""
SHARED_CLOSERS = ("", "</function>")
"""Of `[TOOL_CALLS]`, which has none; of MiniCPM5, whose opener is the element itself."""


def source_of(function: str) -> str:
    """What mlx-lm keeps inside its functions."""
    functions: Any = tokenizer_utils
    return inspect.getsource(getattr(functions, function))


def think_pairs() -> list[tuple[str, str]]:
    """The pairs of tags that mlx-lm's tokenizers look for."""
    source = source_of("_infer_thinking")
    listed = re.findall(r'\("([^"]+)", "([^"]+)"\)', source)
    assigned = zip(
        re.findall(r'think_start = "([^"]+)"', source), re.findall(r'think_end = "([^"]+)"', source), strict=True
    )
    return [*listed, *assigned]


def markers(name: str) -> tuple[str, str]:
    module: Any = importlib.import_module(f"mlx_lm.tool_parsers.{name}")
    return module.tool_call_start, module.tool_call_end


@pytest.mark.parametrize("name", TOOL_PARSERS)
def test_each_tool_parser_of_mlx_lm_has_cases_with_calls_that_we_read(name: str) -> None:
    opener, closer = markers(name)
    assert opener in {wrapper.opener for wrapper in WRAPPERS}
    assert closer in CLOSERS or closer in SHARED_CLOSERS
    assert any(opener in case["raw"] and case["expect"]["tool_calls"] for case in RAW)


def test_mlx_lm_names_no_pair_of_think_tags_that_we_do_not_know() -> None:
    pairs = think_pairs()
    assert len(pairs) >= 5
    known = {(pair.opener, pair.closer) for pair in TAG_PAIRS}
    assert [pair for pair in pairs if pair not in known] == []


@pytest.mark.parametrize(("opener", "closer"), think_pairs())
def test_each_pair_of_think_tags_has_cases(opener: str, closer: str) -> None:
    assert any(closer in case["raw"] and case["expect"]["reasoning"] for case in RAW)
    parsed = parse(f"{opener}A thought.{closer}It is 4.", think_prefilled=False, tools=None)
    assert (parsed.text, parsed.reasoning) == ("It is 4.", "A thought.")


def test_each_template_of_mlx_lm_has_a_case() -> None:
    assert {module.name for module in pkgutil.iter_modules(mlx_lm.chat_templates.__path__)} == TEMPLATES.keys()
    assert [name for name, text in TEMPLATES.items() if not any(text in case["raw"] for case in RAW)] == []


def test_the_markers_around_kimi_k3s_answers_are_dropped() -> None:
    source = source_of("_infer_structural_markers")
    named = re.findall(r'"(<\|(?:open|close)\|>[^"]+)"', source)
    assert len(named) == 3
    parsed = parse(f"{named[0]}It is 4.{named[1]}{named[2]}<|end_of_msg|>", think_prefilled=False, tools=None)
    assert parsed.text == "It is 4."
