"""A small HTTP server between Claude Code and its API: requests for a local model are answered on this machine.

    order        what the process is told at its start
    launched     starts the process and ends it: all that the launcher knows of the rest
    __main__     the process: reads its order, listens, and ends with its launcher
    forwarding   the way of one request
    model_name   finds the model in a body that still arrives; pure
    headers      which headers go on; pure
    refusals     errors in the form of the Messages API; pure
    body         the body of a request, read ahead
    server       uvicorn for byte-exact heads
    addresses    where servers are, certificates, proxies
    connection   one connection in HTTP/1.1
    upstream     the connections to the API, or to the local door

It runs in a process of its own, so that neither a busy nor a dead model holds up the main conversation. It writes and
logs nothing of a request. It must not know sessions, models or doors.
"""
