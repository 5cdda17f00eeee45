"""Writes this server into the settings of coding agents, and takes it out again. It must not know models or verbs."""
