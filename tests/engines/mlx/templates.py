"""Chat templates as models have them, in short, with the built-in model's vocabulary and their own control tokens."""

from collections.abc import Sequence
from typing import Any, cast

from mlx_lm.tokenizer_utils import TokenizerWrapper
from transformers import AddedToken, AutoTokenizer

from mcp_local_llm.engines.mlx.prompt.reasoning_tags import reasoning_tags
from mcp_local_llm.engines.mlx.prompt.template_traits import with_traits
from mcp_local_llm.engines.mlx.prompt.text_model import TextModel
from tests.model_cache import TINY

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HARMONY = (
    "{%- if reasoning_effort is not defined %}{% set reasoning_effort = 'medium' %}{% endif -%}"
    "<|start|>system<|message|>Reasoning: {{ reasoning_effort }}<|end|>"
    "{%- for m in messages -%}{%- if m.role == 'assistant' -%}"
    "{%- if m.tool_calls -%}{%- set call = m.tool_calls[0].function -%}"
    "<|start|>assistant to=functions.{{ call.name }}<|message|>{{ call.arguments | tojson }}<|call|>"
    "{%- elif loop.last and not add_generation_prompt -%}"
    "{%- if m.thinking %}<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>{% endif -%}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|return|>"
    "{%- else %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>{% endif -%}"
    "{%- else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt %}<|start|>assistant{% endif -%}"
)
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}<|endoftext|>{% endif %}"
)
GLM = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
XTML = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|open|>message assistant<|sep|>"
    "{% if m.reasoning_content %}<|open|>think<|sep|>{{ m.reasoning_content }}<|close|>think<|sep|>{% endif %}"
    "<|open|>response<|sep|>{{ m.content }}<|close|>response<|sep|><|close|>message<|sep|><|end_of_msg|>"
    "{% else %}<|open|>message {{ m.role }}<|sep|>{{ m.content }}<|close|>message<|sep|><|end_of_msg|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|open|>message assistant<|sep|>{% endif %}"
)
NAMELESS = (
    "{% for m in messages %}{% if m.role == 'user' %}Human: {% else %}Assistant: {% endif %}{{ m.content }}\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant: {% endif %}"
)
CALLING = (
    "{% if tools %}<|im_start|>system\n<tools>{{ tools | tojson }}</tools><|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<function={{ call.function.name }}>"
    "{% for name, value in call.function.arguments | items %}<{{ name }}>{{ value }}</{{ name }}>{% endfor %}"
    "</function>{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

SPECIAL = (
    *("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>", "<|call|>", "<|system|>", "<|user|>"),
    *("<|assistant|>", "<|tool|>", "<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"),
)


def text_model(template: str, special: Sequence[str] = SPECIAL, plain: Sequence[str] = ()) -> TextModel:
    """A model's tokenizer and template, whose files name `<|endoftext|>` alone as an end.

    Args:
        template: the chat template.
        special: more tokens that are marked special.
        plain: more tokens that are not.
    """
    tokenizer: Any = cast(Any, AutoTokenizer).from_pretrained(TINY)
    tokenizer.add_tokens([AddedToken(text, special=True, normalized=False) for text in special])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in plain])
    tokenizer.eos_token = "<|endoftext|>"
    tokenizer.chat_template = template
    wrapper = TokenizerWrapper(tokenizer)
    tags = reasoning_tags(wrapper)
    return with_traits(TextModel("acme/Model", wrapper, len(tokenizer), None, tags=tags, pieces=True))


def ends_of(model: TextModel) -> set[str]:
    """The tokens that end an answer, besides the one that its files name."""
    return {model.tokenizer.decode([end]) for end in model.tokenizer.eos_token_ids} - {"<|endoftext|>"}
