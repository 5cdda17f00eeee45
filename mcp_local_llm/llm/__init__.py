"""The verbs, and who executes them: this process, or the one that holds the model. It knows no door and no engine."""
