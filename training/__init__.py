"""The recipe of the built-in model `tiny`: its dialogues, its tokenizer, its training and its check.

`python -m training.train OUT` makes the model folder, `python -m training.check MODEL` measures it. Nothing of the
package `mcp_local_llm` is imported here, and the package imports nothing from here: it ships the folder alone.
"""
