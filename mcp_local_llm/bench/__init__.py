"""Measures models for users through the verbs: MLX, GGUF and endpoints alike. It must not know engines."""
