"""What stands between a coding agent and the model servers. It must not know how models are loaded, or doors.

forwarder    a process that sends the requests of local subagents here, and all others where they went before
"""
