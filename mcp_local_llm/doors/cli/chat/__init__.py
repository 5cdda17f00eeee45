"""The command `chat`: one question with its answer, or a conversation. It must not know other commands.

command          the arguments of `chat`
question_input   reads message, stdin, schema and tools
ask              asks one question; answer_writer writes the answer while it comes
interactive      the prompt on a terminal; conversation is its state and its /commands
"""

from mcp_local_llm.doors.cli.chat.command import add_chat_command

__all__ = ["add_chat_command"]
