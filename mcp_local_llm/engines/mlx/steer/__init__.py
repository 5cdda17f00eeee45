"""Which token comes next: logits processors, grammars, penalties, sampling. It must not know the batch."""
