"""What a person reads who starts the program without arguments on a terminal."""

from mcp_local_llm import __version__

WELCOME = """\
mcp-local-llm {version}: one resident local model for coding agents.

Without arguments it speaks MCP, in JSON, with an agent that starts it; on a
terminal there is nobody to speak with. What to type instead:

  mcp-local-llm chat                  talk with the model
  mcp-local-llm chat "a question"     ask once
  mcp-local-llm models                what is on this machine
  mcp-local-llm pull NAME             download a model
  mcp-local-llm doctor                what is missing, and what to do
  mcp-local-llm --help                everything else

To give it to an agent, for example Claude Code:

  claude mcp add --scope user local-llm -- mcp-local-llm
"""


def print_welcome() -> None:
    """Print it."""
    print(WELCOME.format(version=__version__), end="")
