"""The markup around an answer except tool calls: reasoning tags, ends of a turn, echoed headers (R1, R3, R11)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

BAR = "\uff5c"
"""The fullwidth vertical line in DeepSeek's special tokens."""


@dataclass(frozen=True)
class TagPair:
    """The two tags of a reasoning block; `answer`, where there is one, begins the answer and so closes a block too."""

    opener: str
    closer: str
    answer: str = ""

    @property
    def closers(self) -> tuple[str, ...]:
        """Everything that ends a block."""
        return (self.closer, self.answer) if self.answer else (self.closer,)


THINK = TagPair("<think>", "</think>")
MUSE = TagPair("to=self<|message|>", "<|eom|>", "to=user<|message|>")

TAG_PAIRS = (
    THINK,
    TagPair("<thinking>", "</thinking>"),
    TagPair("<thought>", "</thought>"),
    TagPair("<reasoning>", "</reasoning>"),
    TagPair("<seed:think>", "</seed:think>"),
    TagPair("◁think▷", "◁/think▷"),
    TagPair("[THINK]", "[/THINK]"),
    TagPair("<|START_THINKING|>", "<|END_THINKING|>"),
    TagPair("<|begin_of_thought|>", "<|end_of_thought|>"),
    TagPair("<|channel>thought", "<channel|>"),  # Gemma 4
    TagPair("<unused94>thought", "<unused95>"),  # Gemma 3 derivatives
    TagPair("<longcat_think>", "</longcat_think>"),
    TagPair("<mm:think>", "</mm:think>"),  # MiniMax M3
    TagPair("<think:opensource>", "</think:opensource>"),  # Hy3
    TagPair("<ifm|think>", "</ifm|think>"),  # K2 Horizon
    TagPair("<ifm|think_fast>", "</ifm|think_fast>"),
    TagPair("<ifm|think_faster>", "</ifm|think_faster>"),
    TagPair("<|think:start|>", "<|think:end|>"),  # Solar Open 2
    TagPair("<|think|>", "<|end|>", "<|content|>"),  # Solar Open
    TagPair("<|open|>think<|sep|>", "<|close|>think<|sep|>", "<|open|>response<|sep|>"),  # Kimi K3
    TagPair("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    TagPair("<|content_thinking|>", "<|end_message|>", "<|content_text|>"),  # Inkling
    TagPair("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
    MUSE,
)
"""R11. The first is the one that nearly every template uses."""

WORD_PAIRS = TAG_PAIRS[1:4]
"""Plain words in angle brackets, as prompts ask for them; only a model that uses them reasons in them."""

END_OF_TURN = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|eot|>",
    "<|eom|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<turn|>",
    "<eos>",
    "<seed:eos>",
    "<|end_of_msg|>",
    "<|close|>message<|sep|>",
    "<|flush|>",
    "<|calls|>",
    "<|assistant_end|>",
    "<|content_model_end_sampling|>",
    "<|plamo:tag|>",
    "<|ifm|im_end|>",
    "<|im:end|>",
    "<|message_sep|>",
    f"<{BAR}hy_eos:opensource{BAR}>",
    f"<{BAR}hy_end:opensource{BAR}>",
    "<|END_OF_TURN_TOKEN|>",
    f"<{BAR}end▁of▁sentence{BAR}>",
    f"<{BAR}User{BAR}>",
    "<|user|>",
    "<|observation|>",
    "<|im_user|>",
    "[e~[",
    # The beginning of another turn ends this one; a role must follow, because prose also names these tokens.
    "<|im_start|>user",
    "<|im_start|>assistant",
    "<|im_start|>system",
    "<|im_start|>tool",
    "<|start_header_id|>user",
    "<|start_header_id|>assistant",
    "<|start_of_role|>user",
    "<|start_of_role|>assistant",
    "<start_of_turn>user",
    "<start_of_turn>model",
    "<|turn>user",
    "<|turn>model",
)
"""R3. `</s>` is not among them: it is also HTML, and counts only at the very end."""

HARMONY_HEADS = ("<|channel|>analysis", "<|channel|>commentary", "<|channel|>final", "<|start|>assistant")
"""How a message of gpt-oss begins."""

HARMONY_MARKS = ("<|message|>", "<|start|>", "<|channel|>")
"""The parts of such a beginning."""

FRAME_OPENERS = (
    "<|open|>response<|sep|>",
    "<|begin|>assistant",
    "<|content|>",
    "<|message_model|>",
    "<|content_text|>",
    "<|start|>assistant to=",
    "to=user<|message|>",
    "to=commentary<|message|>",
)
"""Literals before the text of an answer, in the formats that write an answer as a message or several of them."""

FRAME_CLOSERS = ("<|close|>response<|sep|>", "<|end_message|>")
"""Literals behind the text of an answer; a further message may follow."""

FRAME_NAMES = {
    "<|start|>assistant to=": re.compile(r"(?!functions\.)[^\s<]+<\|message\|>"),  # Muse
    "<|message_model|>": re.compile(r"(?:[\w.\-]+(?=<\|content_))?"),  # Inkling
}
"""What must follow some of these: the recipient of the message, who may be a tool."""

MESSAGE_STARTS = ("<|start|>assistant", "<|begin|>assistant", "<|message_model|>")
"""Behind one of `END_OF_TURN`, the beginning of a further message of the same turn."""

RESPONSE_WRAPPERS = (
    ("<response>", "</response>"),  # Granite
    ("<answer>", "</answer>"),  # Hunyuan A13B
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),  # Cohere
    ("<|START_TEXT|>", "<|END_TEXT|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
)
"""Tags around an answer that follows reasoning."""


def any_literal(literals: Iterable[str]) -> str:
    """Return a pattern for the longest of the literals, grouped by first character: most text matches none fast."""
    groups = groupby(sorted(literals, key=lambda literal: (literal[0], -len(literal))), key=lambda literal: literal[0])
    return "|".join(
        re.escape(first) + "(?:" + "|".join(re.escape(literal[1:]) for literal in group) + ")"
        for first, group in groups
    )


_HEADER = re.compile(
    r"\s*(?:\ufeff|<\|im_start\|>assistant[ \t]*(?:\r?\n)?|<\|start_header_id\|>assistant<\|end_header_id\|>\s*"
    r"|<\|start_of_role\|>assistant<\|end_of_role\|>|<start_of_turn>model[ \t]*(?:\r?\n)?"
    r"|<\|turn>model[ \t]*(?:\r?\n)?|<\|ifm\|im_start\|>assistant[ \t]*(?:\r?\n)?|<\|assistant_start\|>"
    rf"|<\|im_assistant\|>assistant<\|im_middle\|>|<{BAR}Assistant{BAR}>|<{BAR}begin▁of▁sentence{BAR}>|\[gMASK\]<sop>"
    r"|<\|assistant\|>\s*|<\|begin_of_text\|>|<bos>|<\|START_OF_TURN_TOKEN\|><\|CHATBOT_TOKEN\|>)"
)
HEADER_STARTS = (
    "\ufeff",
    "<|im_start|>assistant",
    "<|start_header_id|>",
    "<|start_of_role|>",
    "<start_of_turn>",
    "<|turn>",
    "<|ifm|im_start|>",
    "<|assistant_start|>",
    "<|im_assistant|>",
    f"<{BAR}Assistant{BAR}>",
    f"<{BAR}begin▁of▁sentence{BAR}>",
    "[gMASK]",
    "<|assistant|>",
    "<|begin_of_text|>",
    "<bos>",
    "<|START_OF_TURN_TOKEN|>",
)
"""How an echoed header begins (R1)."""

_LAST_TOKENS = frozenset(END_OF_TURN[: END_OF_TURN.index("[e~[") + 1])


def skip_last_tokens(text: str, ends: Iterable[str]) -> int:
    """Return where the end tokens at the very end begin (R3): an open fence would hide them from the scan."""
    last = [token for token in ends if token in _LAST_TOKENS]
    end = before_tokens(text, last)
    if last and text.endswith("</s>", 0, end) and "<s>" not in text:
        return end - len("</s>")
    return end if text[end:].strip() else len(text)


def before_tokens(text: str, tokens: Iterable[str]) -> int:
    """Return where the run of these tokens, and of blanks, that ends the text begins."""
    end = _before_space(text, len(text))
    while token := next((token for token in tokens if text.endswith(token, 0, end)), None):
        end = _before_space(text, end - len(token))
    return end


def _before_space(text: str, end: int) -> int:
    while end and text[end - 1].isspace():
        end -= 1
    return end


def skip_header(text: str) -> int:
    """Return where the answer begins after an echoed header of the assistant's turn."""
    position = 0
    while True:
        match = _HEADER.match(text, position)
        if match is None:
            return position
        position = match.end()
