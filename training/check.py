"""Measure a trained `tiny`: `python -m training.check MODEL`.

Exits with 1 unless every scripted dialogue comes back exactly, with thinking and without, and every long thought that
is closed by force still leads to its answer. The held-out groups are printed for information.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from training.dialogues import LONG_THOUGHTS, Dialogue, conversations, held_out, scripted
from training.recall import LoadedModel, Recall, load, recall, recall_after_forced_close

# A long thought is closed after each multiple of so many tokens.
_CUT_STEP = 16
_SHOWN_MISSES = 5
_SHOWN_CHARACTERS = 100


def main() -> None:
    """Read the command line, measure, print, and exit with the verdict."""
    parser = argparse.ArgumentParser(prog="python -m training.check", description="Measure the built-in model tiny.")
    parser.add_argument("model", type=Path, help="a model folder")
    loaded = load(parser.parse_args().model)
    required = [
        _report("scripted", _both_modes(loaded, scripted())),
        _report("long thoughts, closed by force", _cut_everywhere(loaded, LONG_THOUGHTS)),
    ]
    _report("other thoughts, closed by force", _cut_once(loaded, conversations()))
    for name, dialogues in held_out().items():
        _report(f"held out: {name}", _both_modes(loaded, dialogues))
    sys.exit(0 if all(required) else 1)


def _both_modes(loaded: LoadedModel, dialogues: Iterable[Dialogue]) -> Iterable[Recall]:
    for dialogue in dialogues:
        for thinking in (True, False):
            yield recall(loaded, dialogue, thinking=thinking)


def _cut_everywhere(loaded: LoadedModel, dialogues: Iterable[Dialogue]) -> Iterable[Recall]:
    for dialogue in dialogues:
        for tokens in range(0, _thought_tokens(loaded, dialogue), _CUT_STEP):
            yield recall_after_forced_close(loaded, dialogue, tokens)


def _cut_once(loaded: LoadedModel, dialogues: Iterable[Dialogue]) -> Iterable[Recall]:
    for dialogue in dialogues:
        if not dialogue.endless:
            yield recall_after_forced_close(loaded, dialogue, _thought_tokens(loaded, dialogue) // 2)


def _thought_tokens(loaded: LoadedModel, dialogue: Dialogue) -> int:
    return len(loaded.chat.encode(dialogue.thought, add_special_tokens=False))


def _report(name: str, recalls: Iterable[Recall]) -> bool:
    """Print how many came back exactly, and the first misses; return whether all did."""
    started = time.monotonic()
    every = list(recalls)
    rate = sum(one.tokens for one in every) / (time.monotonic() - started)
    misses = [one for one in every if not one.exact]
    print(f"{name}: {len(every) - len(misses)} of {len(every)} exact, {rate:.0f} tokens/s", flush=True)
    for miss in misses[:_SHOWN_MISSES]:
        print(f"  {miss.case}")
        print(f"    expected  {_ending(miss.expected)}")
        print(f"    generated {_ending(miss.generated)}")
    return not misses


def _ending(text: str) -> str:
    return repr(text[-_SHOWN_CHARACTERS:])


if __name__ == "__main__":
    main()
