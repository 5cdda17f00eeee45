"""Tells from the end of a rendered prompt how the answer begins (R4). Pure; it must not know templates."""

from dataclasses import dataclass

from mcp_local_llm.parsing.markup import END_OF_TURN, FRAME_CLOSERS, TAG_PAIRS, TagPair


@dataclass(frozen=True)
class AnswerOpening:
    """How the answer behind a prompt begins.

    Attributes:
        pair: the tags of the block that the prompt left open; None where there is none.
        closed: whether the prompt ends behind a closed block, or where the text of the answer begins.
    """

    pair: TagPair | None = None
    closed: bool = False


def answer_opening(prompt: str, pairs: tuple[TagPair, ...] = (), last_message: str = "") -> AnswerOpening:
    """Look at the end of a prompt.

    Args:
        prompt: as the template rendered it.
        pairs: tags that the model's files name beside the known ones.
        last_message: the content of the last message. A template that writes nothing behind it opens nothing: a user
            may well write the opener.
    """
    end, said = prompt.rstrip(), last_message.rstrip()
    if said and end.endswith(said) and said not in end.removesuffix(said):
        return AnswerOpening()
    known = (*pairs, *TAG_PAIRS)
    opened = [pair for pair in known if end.endswith(pair.opener.rstrip())]
    if opened:
        return AnswerOpening(max(opened, key=lambda pair: len(pair.opener)))
    closers = {closer for pair in known for closer in pair.closers} - {*END_OF_TURN, *FRAME_CLOSERS}
    return AnswerOpening(closed=end.endswith(tuple(closers)))
