"""Converts our values to and from the JSON of OpenAI's and Anthropic's APIs. Pure.

It must not know connections, engines or doors.

openai         requests, responses, errors, both ways
anthropic      the Messages API, as our server speaks it
responses      OpenAI's Responses API, as our server speaks it
flavors        which fields each known server accepts, and how a server is recognised
sse            server-sent events, and progress in their comments
request_object the body of a request, and the base of the objects in it
json_values    values out of JSON that may hold anything
"""
