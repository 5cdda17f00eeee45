"""Task templates (`prompts/tasks/`) and checks of their answers. It must not know models or how a file is read."""
