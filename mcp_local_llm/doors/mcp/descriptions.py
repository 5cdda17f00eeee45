"""The server's instructions and the tools' descriptions, by which agents decide when to call.

Clients cut both at 2 KB (Claude Code's documented limit), so each begins with its occasion.
"""

INSTRUCTIONS = """\
local-llm runs a language model on this machine: private, offline, unmetered. Use its `chat` tool to hand over work \
that is routine, private or high in volume, and whose result you can check cheaply.

Delegate: summaries, drafts, boilerplate, docstrings, commit messages, translations, classification and extraction, \
first-pass reviews, and anything the user wants kept off the network ("locally", "privately", "with the local model").
Do not delegate: work that needs your tools, the conversation so far, or judgement you could not verify; one-line \
answers you already know. Text that you paste into `message` was already paid for as your own output.

The model knows nothing of this conversation: `message` must hold the task, the text and the form of the answer. \
Check what comes back; a local model is smaller than you are.
`status` tells what is resident, `list_models` what there is, `set_model` switches (the choice survives restarts), \
`quick_test` checks that the model works. The first call after a start loads the model, which can take a while; \
progress is reported. A note in square brackets at the end of an answer comes from the server, not from the model."""

CHAT = """\
Ask the local model on this machine (private, offline, no cost per token) and get its answer as plain text.

Use it for self-contained work whose result is cheap to check: summaries, drafts, boilerplate, commit messages, \
translations, classification, extraction, a first review; or when the user asks for a local or private model. Do not \
use it for work that needs your tools, this conversation, or judgement that you could not verify.

The model sees only what you send. Put the whole task into `message`: what to do, the text, the form of the answer. \
One precise task a call works best; send independent tasks as parallel calls. Leave `max_tokens` and the sampling \
values unset unless you have a reason. `thinking=false` answers sooner on a model that reasons; the reasoning itself \
is never returned. With `tools`, calls that the model wants to make come back as a JSON list in a second text block: \
[{"name": ..., "arguments": {...}}]; run them yourself and send the results through `history`, with an empty \
`message`. With `response_schema` the text is JSON that validates, and objects hold no properties but those listed.

A note in square brackets at the end is the server's: it says when the answer was cut off and what to change."""

SET_MODEL = """\
Choose the local model: a role ("coding", "default"), a full id, a fragment ("32b", "qwen coder 7b") or a number from \
list_models. The model is loaded at once, with progress, and the choice survives restarts.

Memory is checked before anything is unloaded. Calls that are running finish first, later ones wait for the new model. \
If several models match, the error lists them with their numbers. If a load fails the old choice stays.

`download=true` fetches a model that is not on this machine (safetensors, full id such as \
"mlx-community/Qwen3-4B-4bit"): only when the user asked for it, because it can take many gigabytes. Fit and disk \
space are checked first, and an interrupted download is continued by the same call."""

QUICK_TEST = """\
Check that the local model works and how fast it is, with one scripted question: hello, math, creative, code_review, \
tools (asks for a tool call), thinking, or json. Loads the model if none is resident. Returns the answer, a verdict, \
seconds and tokens per second."""

LIST_MODELS = """\
List the models on this machine: number, name, size, quantization, context length, whether it fits into memory, speed \
(estimated or measured), what it is good for, and which one is resident or chosen. Loads nothing."""

STATUS = """\
Tell how the local model stands: resident model, load progress, calls that run and wait, the process that holds the \
model for all sessions, speed of the last answer, free memory, the saved choice. Answers at once, also while a model \
loads or generates."""
