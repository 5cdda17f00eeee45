"""The server's instructions and the tools' descriptions, by which agents decide when to call.

Clients cut both at 2 KB (Claude Code's documented limit), so each begins with its occasion.
"""

INSTRUCTIONS = """\
local-llm runs a language model on this machine: private, offline, unmetered. Hand over work that is routine, private \
or high in volume, and whose result you can check cheaply.

Files: name them in `files` of `chat` and they are read here, so their text never enters your context: summaries, \
extraction, classification of logs, a first review, a commit message from `git:staged`; `each_file=true` asks the same \
of many files. To write or change a file use `draft`: the answer goes straight into the file. Text of the files does \
not come back: an answer is a few lines, and for "show me the file" you Read it. Under about 2 KB Read is cheaper. Do \
not paste files into `message`: you pay for that as your own output.

Do not delegate work that needs your tools, this conversation or judgement that you could not verify, and nothing \
whose failure would be silent. Check what comes back: do not trust a finding without a quoted line; a local model is \
smaller than you are.

`status` tells what is resident and which folders may be read, `list_models` what there is, `set_model` switches (the \
choice survives restarts), `quick_test` checks that the model works. The first call after a start loads the model, \
which can take a while; progress is reported. What the server itself says stands in a text block of its own."""

CHAT = """\
Ask the local model on this machine (private, offline, no cost per token) and get its answer as plain text.

With `files` it reads files here, and their text stays out of your context: "which of these logs show an error, quote \
the line" over `logs/*.log` with `each_file=true`; "summarise" over src/app.py:1-200; a subject line for `git:staged`. \
Rows have at most 300 characters and an answer 8 KB; the rest goes into a file whose path is told. Text does not come \
back: to see a file, Read it; to change or write one, use `draft`. For one file under 2 KB Read is cheaper. Do not \
trust a row without a quoted line.

The model sees only what you send: put the whole task into `message`: what to do, the form of the answer, a way out \
("write NONE"). One precise task a call; independent tasks as parallel calls. What is longer than the window is \
refused with numbers; `split=true` reads it in parts. Leave `max_tokens` and the sampling values unset unless you have \
a reason. `thinking=false` answers sooner on a model that reasons. With `tools`, calls that the model wants come back \
as a JSON list in a block of their own; run them and send the results through `history`, with an empty `message`. With \
`response_schema` the answer is JSON that validates.

The server's own words (counts, what was left out, an answer that was cut off and what to change) stand in a block of \
their own."""

DRAFT = """\
Let the local model write a file: its answer goes straight into `path`, and you get size, warnings and a few lines or \
a diff, never the whole text. For docstrings, tests, boilerplate, translations, edits by rule.

An existing file is only replaced with `overwrite=true`; the old version is kept, `restore=true` brings it back. To \
edit, name the same file in `files` and `path`: a diff of at most 40 lines comes back; look at it. With `each_file` \
give `path` as "docs/{stem}.md" for a file each, or "rows.jsonl". A call that ended early goes on when sent again. \
Never written: an answer that was cut off, through a link, outside the project, what tools run or obey (.git, \
.claude, workflows …)."""

SEARCH_HINTS = {
    "set_model": "choose, switch or download the local model",
    "quick_test": "check that the local model works and how fast it is",
    "list_models": "local models on this machine: sizes, speeds, what fits",
    "status": "local model: what is loaded, progress, folders whose files may be read, memory",
    "draft": "write or edit a file with the local model: docstrings, tests, boilerplate",
}
"""Words by which Claude Code finds a tool that it has not loaded."""

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
