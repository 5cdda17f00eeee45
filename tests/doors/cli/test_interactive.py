"""The interactive chat, typed into on a pseudo-terminal."""

import stat
from pathlib import Path

from tests.doors.cli.terminal import terminal

ENDLESS = "Repeat the word la forever."


def test_a_conversation_on_a_terminal(environ: dict[str, str], home: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "notes.txt").write_text("Some text.\n")
    saved, stopped = tmp_path / "chat.md", tmp_path / "stopped.json"
    with terminal({**environ, "CLAUDE_PROJECT_DIR": str(project)}, "chat", "--no-thinking") as talk:
        talk.until("tiny. /help shows the commands, Ctrl-D ends the chat.")
        talk.until(">>>")
        talk.type(f"{ENDLESS}\r")
        talk.until("la la la")
        talk.interrupt()
        talk.until("stopped")
        talk.until(">>>")
        talk.type(f"/save {stopped}\r")
        talk.until("is written.")
        talk.type("/clear\r")
        talk.until("The conversation is forgotten.")
        talk.type("Hello\r")
        talk.until("How can I help you today?")
        talk.until(">>>")
        talk.type("/modl\r")
        talk.until("There is no command /modl. Did you mean /model?")
        talk.type("/model\r")
        talk.until("tiny answers.")
        talk.type("/model nope\r")
        talk.until("No model here is called 'nope'")
        talk.type("/system Be brief.\r")
        talk.until("The system prompt is set.")
        talk.type(f"/file {project / 'notes.txt'}\r")
        talk.until("is read with every question.")
        talk.type("/file -\r")
        talk.until("No file is read any more.")
        talk.type("Two\x1b\rlines\r")
        talk.until(">>>")
        talk.type(f"/save {saved}\r")
        talk.until("is written.")
        talk.type(f"/save {saved}\r")
        talk.until("is there already")
        talk.type("/save ~nobody-here/talk.md\r")
        talk.until("cannot be written")
        talk.type("\x04")
        assert talk.ended() == 0
        assert "Traceback" not in talk.shown
    text = saved.read_text()
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert "## User\n\nHello\n\n## Assistant\n\nHello! How can I help you today?" in text
    assert "la la la" in stopped.read_text()
    assert "Two\nlines" in text
    history = home / ".local" / "state" / "mcp-local-llm" / "chat_history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    with terminal(environ, "chat") as again:
        again.until(">>>")
        again.type("\x12Hell")
        again.type("\r\r")
        again.until("How can I help you today?")
        again.until(">>>")
        again.type("/mod\t")
        again.until("el")
        again.type(" tin\t")
        again.until("y")
        again.type("\r")
        again.until("tiny answers from here on")
        again.type("\x03")
        again.type("/exit\r")
        assert again.ended() == 0
