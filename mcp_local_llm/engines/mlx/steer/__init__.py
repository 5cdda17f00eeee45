"""Chooses the next token: logits processors, grammars, penalties, sampling. It must not know the batch."""
