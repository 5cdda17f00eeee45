"""What a chat template does is found by rendering it: where a turn ends, and how reasoning is switched and kept."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_local_llm.engines.mlx.prompt.render import render
from mcp_local_llm.values.chat import ChatRequest, SamplingParams
from mcp_local_llm.values.model import ModelInfo
from tests.engines.mlx.asking import answer, engine_of, prompt
from tests.engines.mlx.templates import CALLING, CHATML, GLM, HARMONY, NAMELESS, PHI, XTML, ends_of, text_model

ENDS = {
    "chatml": (CHATML, {"<|im_end|>"}),
    "an answer and a call end in different tokens": (HARMONY, {"<|return|>", "<|call|>"}),
    "the conversation has an end of its own": (PHI, {"<|end|>"}),
    "the next turn is the end": (GLM, {"<|user|>"}),
    "parts of a turn have ends": (XTML, {"<|end_of_msg|>"}),
    "no token ends it": (NAMELESS, set[str]()),
    "calls": (CALLING, {"<|im_end|>"}),
    "the last turn stays open": (
        CHATML.replace("<|im_end|>\n", "{% if not loop.last %}<|end|>{% endif %}"),
        {"<|end|>"},
    ),
    "blanks come before the end": (CHATML.replace("<|im_end|>", "\n \n<|end|>"), {"<|end|>"}),
    "reasoning ends in the same token": (
        CHATML.replace("{{ m.content }}", "{% if m.reasoning %}{{ m.reasoning }}<|im_end|>{% endif %}{{ m.content }}"),
        set[str](),
    ),
    "it refuses everything": ("{{ raise_exception('no') }}", set[str]()),
}


@pytest.mark.parametrize(("template", "ends"), ENDS.values(), ids=ENDS)
def test_a_turn_ends_where_the_template_ends_it(template: str, ends: set[str]) -> None:
    assert ends_of(text_model(template)) == ends


def test_an_end_of_turn_need_not_be_marked_special() -> None:
    model = text_model(CHATML.replace("<|im_end|>", "<end_of_turn>"), plain=("<end_of_turn>",))
    assert ends_of(model) == {"<end_of_turn>"}


async def test_an_answer_ends_with_its_turn_whatever_the_files_leave_out(tiny: ModelInfo, tmp_path: Path) -> None:
    folder = tmp_path / "endless"
    shutil.copytree(tiny.path, folder)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        values: dict[str, Any] = json.loads((folder / name).read_text())
        kept = {key: value for key, value in values.items() if key not in ("eos_token_id", "eos_token")}
        (folder / name).write_text(json.dumps(kept))
    async with engine_of(replace(tiny, path=folder)) as engine:
        result = await answer(
            engine,
            ChatRequest(prompt("Hello"), thinking=False, sampling=SamplingParams(max_tokens=200, temperature=0.0)),
        )
    assert result.finish_reason == "stop"
    assert result.usage.completion_tokens < 100


OPENING = "<|im_start|>assistant\n{% endif %}"
CLOSED = "<think>\n\n</think>\n\n"


def switched(condition: str, text: str = CLOSED) -> str:
    return CHATML.replace(OPENING, f"<|im_start|>assistant\n{{% if {condition} %}}{text}{{% endif %}}{{% endif %}}")


def instructed(condition: str) -> str:
    return f"{{% if {condition} %}}<|im_start|>system\nThink first.<|im_end|>\n{{% endif %}}{CHATML}"


# Template → the variables that switch reasoning on and off; None where nothing does.
SWITCHES: dict[str, tuple[str, dict[str, Any] | None, dict[str, Any] | None]] = {
    "enable_thinking": (
        switched("enable_thinking is defined and not enable_thinking"),
        {"enable_thinking": True},
        {"enable_thinking": False},
    ),
    "thinking": (switched("not thinking", "</think>"), {"thinking": True}, {"thinking": False}),
    "opt-in": (instructed("thinking"), {"thinking": True}, {"thinking": False}),
    "opt-in, set by the template": (
        "{%- set thinking = thinking if thinking is defined else false -%}" + instructed("thinking"),
        {"thinking": True},
        {"thinking": False},
    ),
    "effort none": (switched("reasoning_effort == 'none'"), {}, {"reasoning_effort": "none"}),
    "effort, off unless asked": (
        "{%- set reasoning_effort = reasoning_effort or 'no_think' -%}"
        + switched("reasoning_effort == 'high'", "<think>"),
        {"reasoning_effort": "high"},
        {"reasoning_effort": "no_think"},
    ),
    "effort that refuses unknown words": (
        "{% if reasoning_effort is defined and reasoning_effort not in ['none', 'high'] %}{{ raise_exception('no') }}"
        "{% endif %}" + switched("reasoning_effort == 'high'", "<think>"),
        {"reasoning_effort": "high"},
        {"reasoning_effort": "none"},
    ),
    "effort without an off": (HARMONY, {}, {"reasoning_effort": "low"}),
    "mode": (switched("thinking_mode == 'disabled'"), {}, {"thinking_mode": "disabled"}),
    "budget": (switched("thinking_budget == 0"), {}, {"thinking_budget": 0}),
    "reasoning": (switched("reasoning is defined and not reasoning"), {"reasoning": True}, {"reasoning": False}),
    "only behind a system turn": (
        CHATML.replace("{{ m.content }}", "{{ m.content }}{% if m.role == 'system' and thinking %}/think{% endif %}"),
        {"thinking": True},
        {"thinking": False},
    ),
    "a name that changes nothing": ("{% set x = enable_thinking %}" + CHATML, None, None),
    "none": (CHATML, None, None),
}


@pytest.mark.parametrize(("template", "on", "off"), SWITCHES.values(), ids=SWITCHES)
def test_the_switch_of_thinking_is_found_under_any_name(
    template: str, on: dict[str, Any] | None, off: dict[str, Any] | None
) -> None:
    model = text_model(template)
    switch = model.traits.switch
    assert (switch and dict(switch.on), switch and dict(switch.off)) == (on, off)
    assert (switch is not None and switch.least) == (template == HARMONY)
    thoughtful, quick = (
        render(ChatRequest(prompt("Hi", "Be."), thinking=value), model).text for value in (True, False)
    )
    assert (thoughtful != quick) == (switch is not None)


HISTORIES: dict[str, tuple[str, dict[str, bool]]] = {
    "preserve_thinking": ("preserve_thinking is defined and preserve_thinking", {"preserve_thinking": True}),
    "clear_thinking": ("clear_thinking is defined and not clear_thinking", {"clear_thinking": False}),
    "truncate_history_thinking": ("not truncate_history_thinking", {"truncate_history_thinking": False}),
    "without effect": ("preserve_thinking and false", {}),
    "not there": ("false", {}),
}


@pytest.mark.parametrize(("condition", "kept"), HISTORIES.values(), ids=HISTORIES)
def test_the_reasoning_of_earlier_answers_is_kept_where_a_variable_keeps_it(
    condition: str, kept: dict[str, bool]
) -> None:
    thought = f"{{% if m.reasoning_content and ({condition}) %}}{{{{ m.reasoning_content }}}}{{% endif %}}"
    model = text_model(CHATML.replace("{{ m.content }}", thought + "{{ m.content }}"))
    assert dict(model.traits.history) == kept
    assert model.traits.switch is None


WARNINGS: dict[str, tuple[str, bool, list[str]]] = {
    "no switch, not thinking": (CHATML + "{# <think> </think> #}", False, ["has no switch"]),
    "no switch, thinking": (CHATML + "{# <think> </think> #}", True, ["no switch for thinking", "changed nothing"]),
    "least effort": (
        "{% set effort = reasoning_effort or 'medium' %}Reasoning: {{ effort }}" + CHATML + "{# <think> </think> #}",
        False,
        ["cannot be told not to think", "reasoning_effort=low"],
    ),
    "another name": (switched("thinking is defined and not thinking"), False, []),
    "another name, thinking": (switched("thinking is defined and not thinking"), True, []),
    "a block that the template opens anyway": (
        CHATML.replace(OPENING, "<|im_start|>assistant\n<think>\n{% endif %}{# </think> #}"),
        True,
        [],
    ),
}


@pytest.mark.parametrize(("template", "thinking", "told"), WARNINGS.values(), ids=WARNINGS)
async def test_a_wish_that_changes_nothing_is_told(
    tiny: ModelInfo, tmp_path: Path, template: str, thinking: bool, told: list[str]
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(tiny.path, folder)
    (folder / "chat_template.jinja").write_text(template)
    request = ChatRequest(prompt("Hello"), thinking=thinking, sampling=SamplingParams(max_tokens=1))
    async with engine_of(replace(tiny, path=folder)) as engine:
        result = await answer(engine, request)
    warnings = [warning for warning in result.warnings if "never closed" not in warning]
    assert len(warnings) == bool(told)
    assert all(words in warnings[0] for words in told)
