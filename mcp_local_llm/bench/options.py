"""What a call of `bench` measures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Attributes:
        rounds: of each figure, at least 1.
        prompts: tokens of the prompts to read; empty for the usual ones.
        full: also what takes longer than three minutes.
        tasks: score tasks instead of measuring speed; `run_code`: those of code, too.
        kinds: of the tasks to score; empty for all.
    """

    rounds: int = 3
    prompts: tuple[int, ...] = ()
    full: bool = False
    tasks: bool = False
    run_code: bool = False
    kinds: tuple[str, ...] = ()
