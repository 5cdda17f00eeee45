"""Samples, batches and steps: the same seed gives the same training."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest

from training.curriculum import Curriculum
from training.dialogues import LONG_THOUGHTS, copies, echoes, fallbacks, held_out, scripted
from training.optimizer import learning_rate
from training.qwen3 import Qwen3Config, Weights
from training.recall import LoadedModel
from training.samples import batches, forced_close, samples
from training.train import Trainer

SMALL = Qwen3Config(hidden_size=32, intermediate_size=48, num_hidden_layers=1)
BATCH_TOKENS = 1024


def test_scripted_dialogues_have_names_of_their_own():
    names = [dialogue.name for dialogue in scripted()]

    assert len(names) == len(set(names))


def test_no_held_out_prompt_is_scripted():
    known = {str((dialogue.messages, dialogue.tools)) for dialogue in scripted()}

    held = [dialogue for group in held_out().values() for dialogue in group]

    assert not known & {str((dialogue.messages, dialogue.tools)) for dialogue in held}


def test_one_seed_draws_the_same_dialogues():
    assert copies(Random(3), 8) == copies(Random(3), 8)
    assert fallbacks(Random(3), 8) == fallbacks(Random(3), 8)
    assert echoes(Random(3), ["a", "b"], 8) == echoes(Random(3), ["a", "b"], 8)


def test_epochs_differ_and_can_be_made_again(loaded_tiny: LoadedModel):
    curriculum, again = Curriculum(loaded_tiny.chat, 0), Curriculum(loaded_tiny.chat, 0)

    assert curriculum.epoch(1) == again.epoch(1)
    assert curriculum.epoch(1) != curriculum.epoch(2)
    assert curriculum.epoch(1) != Curriculum(loaded_tiny.chat, 1).epoch(1)


def test_batches_hold_every_sample_once_within_the_token_limit(loaded_tiny: LoadedModel):
    every = samples(loaded_tiny.chat, scripted()[:20])

    packed = list(batches(every, Random(0), BATCH_TOKENS))

    assert sum(len(batch.inputs) for batch in packed) == len(every)
    assert sum(int(np.count_nonzero(batch.weights)) for batch in packed) == sum(len(one.target) for one in every)
    assert all(batch.inputs.size <= BATCH_TOKENS for batch in packed)


def test_only_the_answer_is_learnt_after_a_forced_close(loaded_tiny: LoadedModel):
    sample = forced_close(loaded_tiny.chat, LONG_THOUGHTS[0], Random(0))

    prompt = loaded_tiny.chat.decode(sample.prompt)
    assert "<think>\nStep 1" in prompt
    assert prompt.endswith("\n</think>\n\n")
    assert loaded_tiny.chat.decode(sample.target) == f"{LONG_THOUGHTS[0].answer}<|im_end|>"


def test_learning_rate_warms_up_and_ends_at_a_fiftieth():
    assert learning_rate(1.0, 0, 0.0) == 1 / 40
    assert learning_rate(1.0, 39, 0.0) == 1.0
    assert abs(learning_rate(1.0, 10_000, 1.0) - 0.02) < 1e-9


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_the_loss_falls(loaded_tiny: LoadedModel):
    losses, weights = train_a_little(loaded_tiny)
    losses_again, weights_again = train_a_little(loaded_tiny)

    assert losses == losses_again
    assert all(np.array_equal(weight, weights_again[name]) for name, weight in weights.items())
    assert losses[-1] < 0.95 * losses[0]


def train_a_little(loaded_tiny: LoadedModel) -> tuple[list[float], Weights]:
    every = list(batches(samples(loaded_tiny.chat, scripted()[:16]), Random(0), BATCH_TOKENS // 4))
    with ThreadPoolExecutor(2) as pool:
        trainer = Trainer(SMALL, 0, pool)
        losses = [trainer.epoch(every, number / 10, 1 / 10).loss for number in range(10)]
    return losses, trainer.weights
