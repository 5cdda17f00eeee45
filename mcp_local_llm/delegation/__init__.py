"""Works on files for an agent: questions about them, and drafts into them. It must not know protocols."""
