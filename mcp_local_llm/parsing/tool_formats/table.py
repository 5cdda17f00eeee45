"""The tags of tool calls: which opener announces which kinds of payload (R26). A table and nothing else."""

from dataclasses import dataclass

from mcp_local_llm.parsing.markup import BAR
from mcp_local_llm.parsing.tool_formats.format import PayloadReader
from mcp_local_llm.parsing.tool_formats.gemma import read_function_gemma, read_gemma4
from mcp_local_llm.parsing.tool_formats.json_objects import read_functools, read_json, read_keyed_json
from mcp_local_llm.parsing.tool_formats.key_value_pairs import (
    read_glm,
    read_hy3,
    read_k2_horizon,
    read_longcat,
    read_solar_open2,
)
from mcp_local_llm.parsing.tool_formats.kimi_k3 import CALL, CLOSER, OPENER, read_kimi_k3
from mcp_local_llm.parsing.tool_formats.minimax_m3 import MARK, read_minimax_m3
from mcp_local_llm.parsing.tool_formats.name_then_json import (
    read_deepseek,
    read_kimi,
    read_mistral,
    read_plamo,
    read_solar_open,
)
from mcp_local_llm.parsing.tool_formats.pythonic import read_pythonic
from mcp_local_llm.parsing.tool_formats.xml_elements import (
    read_atem_invoke,
    read_dsml_invoke,
    read_function,
    read_invoke,
    read_minicpm5,
    read_step_invoke,
)


@dataclass(frozen=True)
class Wrapper:
    """An element that holds calls.

    Attributes:
        opener: the text that announces it.
        closer: the text that ends it; "" where the format has none.
        payloads: readers, in the order in which they are tried.
        bare: the opener is already part of the payload.
        known_only: unknown names are refused, because the markup alone proves nothing (R22 to R24).
        inner: the opener of the calls inside it, where each has one of its own.
    """

    opener: str
    closer: str
    payloads: tuple[PayloadReader, ...]
    bare: bool = False
    known_only: bool = False
    inner: str = ""


_JSON = (read_json,)
_JSON_OR_PYTHON = (read_pythonic, read_json)

WRAPPERS = (
    # Hermes and Qwen 2.5/3, Qwen3-Coder and Nemotron 3, GLM 4.5 to 5 and Hy3: one tag, three kinds of payload.
    Wrapper("<tool_call>", "</tool_call>", (read_json, read_function, read_glm)),
    Wrapper("<tools>", "</tools>", _JSON, known_only=True),  # Qwen2.5-Coder (R23)
    Wrapper("<function=", "</tool_call>", (read_function,), bare=True, known_only=True),  # R24
    Wrapper("<seed:tool_call>", "</seed:tool_call>", (read_function,)),
    Wrapper("<minimax:tool_call>", "</minimax:tool_call>", (read_invoke,)),
    Wrapper("<invoke name=", "</minimax:tool_call>", (read_invoke,), bare=True, known_only=True),
    Wrapper("<function_calls>", "</function_calls>", (read_invoke, read_pythonic)),
    # MiniMax M1, Hunyuan A13B and Jamba write JSON, Hy3 calls in tags of their own.
    Wrapper("<tool_calls>", "</tool_calls>", (read_json, read_glm), inner="<tool_call>"),
    Wrapper("<tool_calls:opensource>", "</tool_calls:opensource>", (read_hy3,), inner="<tool_call:opensource>"),
    Wrapper("<tool_call:opensource>", "</tool_call:opensource>", (read_json, read_hy3)),
    Wrapper("<longcat_tool_call>", "</longcat_tool_call>", (read_json, read_longcat)),
    Wrapper("<ifm|tool_calls>", "</ifm|tool_calls>", (read_k2_horizon,), inner="<ifm|tool_call>"),
    Wrapper("<ifm|tool_call>", "</ifm|tool_call>", (read_json, read_k2_horizon)),
    Wrapper("<|tool_call:start|>", "<|tool_call:end|>", (read_solar_open2,)),
    Wrapper("<|tool_calls|>", "<|calls|>", (read_solar_open,)),
    Wrapper("<|tool_call:begin|>", "<|calls|>", (read_solar_open,), bare=True),
    Wrapper("<|plamo:begin_tool_requests:plamo|>", "<|plamo:end_tool_requests:plamo|>", (read_plamo,)),
    Wrapper("<|plamo:begin_tool_request:plamo|>", "<|plamo:end_tool_requests:plamo|>", (read_plamo,), bare=True),
    Wrapper(OPENER, CLOSER, (read_kimi_k3,)),
    Wrapper(CALL, CLOSER, (read_kimi_k3,), bare=True),
    Wrapper(f"{MARK}<tool_call>", f"{MARK}</tool_call>", (read_minimax_m3,)),
    Wrapper(f"{MARK}<invoke ", f"{MARK}</tool_call>", (read_minimax_m3,), bare=True),
    Wrapper("<atem:function_calls>", "</atem:function_calls>", (read_atem_invoke,)),
    Wrapper("<atem:invoke name=", "</atem:function_calls>", (read_atem_invoke,), bare=True),
    Wrapper("<function name=", "</function>", (read_minicpm5,), bare=True, known_only=True),
    Wrapper("<|tools_prefix|>", "<|tools_suffix|>", (read_keyed_json,)),  # Apertus
    Wrapper("<|content_invoke_tool_json|>", "<|end_message|>", _JSON),  # Inkling
    # GigaChat 3 and 3.1; the first of them is a message of its own.
    Wrapper("<|message_sep|>\n\nfunction call<|role_sep|>", "", _JSON),
    Wrapper("function call<|role_sep|>", "", _JSON),
    Wrapper("<|function_call|>", "", _JSON),
    Wrapper("functools[", "", (read_functools,), bare=True, known_only=True),  # Phi 4 mini
    # DeepSeek: V3.2 writes elements, R1, V3 and V3.1 a name and JSON.
    Wrapper(f"<{BAR}DSML{BAR}function_calls>", f"</{BAR}DSML{BAR}function_calls>", (read_dsml_invoke,)),
    Wrapper(f"<{BAR}DSML{BAR}tool_calls>", f"</{BAR}DSML{BAR}tool_calls>", (read_dsml_invoke,)),
    Wrapper(f"<{BAR}DSML{BAR}invoke ", f"</{BAR}DSML{BAR}function_calls>", (read_dsml_invoke,), bare=True),
    Wrapper(f"<{BAR}tool▁calls▁begin{BAR}>", f"<{BAR}tool▁calls▁end{BAR}>", (read_deepseek,)),
    Wrapper(f"<{BAR}tool▁call▁begin{BAR}>", f"<{BAR}tool▁calls▁end{BAR}>", (read_deepseek,), bare=True),
    Wrapper("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", (read_kimi,)),
    Wrapper("<|tool_call_section_begin|>", "<|tool_call_section_end|>", (read_kimi,)),
    Wrapper("<|tool_call_begin|>", "<|tool_calls_section_end|>", (read_kimi,), bare=True),
    Wrapper("<steptml:invoke ", "", (read_step_invoke,), bare=True),
    Wrapper("[TOOL_CALLS]", "", (read_json, read_mistral)),
    Wrapper("<|tool_call>", "<tool_call|>", (read_gemma4,)),
    Wrapper("<start_function_call>", "<end_function_call>", (read_function_gemma,)),
    Wrapper("<|tool_call|>", "<|/tool_call|>", _JSON),  # Granite 3, Phi 4
    Wrapper("<function_call>", "</function_call>", _JSON),  # Granite 20B
    Wrapper("<|python_tag|>", "", _JSON_OR_PYTHON),  # Llama 3
    Wrapper("<|python_start|>", "<|python_end|>", _JSON_OR_PYTHON),  # Llama 4
    Wrapper("<TOOLCALL>", "</TOOLCALL>", _JSON),  # Nemotron
    Wrapper("<|tool_call_start|>", "<|tool_call_end|>", _JSON_OR_PYTHON),  # LFM2
    Wrapper("[TOOL_REQUEST]", "[END_TOOL_REQUEST]", _JSON),  # LM Studio
    Wrapper("<|START_ACTION|>", "<|END_ACTION|>", _JSON),  # Cohere
    Wrapper("<|action_start|><|plugin|>", "<|action_end|>", _JSON),  # InternLM
)

CLOSERS = tuple(
    sorted(
        {wrapper.closer for wrapper in WRAPPERS if wrapper.closer}
        | {"</function>", f"<{BAR}tool▁call▁end{BAR}>", "<|tool_call_end|>", "</invoke>", "</atem:invoke>"}
        | {"<end_of_tool_call:opensource>", "<end_of_tool_call>", f"{MARK}</invoke>", "<|close|>call<|sep|>"}
        | {"<|tool_call:end|>", "<|plamo:end_tool_request:plamo|>"},
        key=len,
        reverse=True,
    )
)
"""Everything that may close a call, the longest first."""

RESPONSES = (
    "<tool_response>",
    "<|tool_response>",
    "<tool_result>",
    "<function_response>",
    "<start_function_response>",
    "<|tool_response_start|>",
    "<TOOL_RESPONSE>",
    "[TOOL_RESULTS]",
    "[TOOL_RESULT]",
    f"<{BAR}tool▁outputs▁begin{BAR}>",
    f"<{BAR}tool▁output▁begin{BAR}>",
)
"""Literals that announce the result of a call, which only the client may write (R25)."""
