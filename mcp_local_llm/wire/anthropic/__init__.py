"""JSON of Anthropic's Messages API to values and back; pure. It must not know connections.

request_schema, read_request   the body: its fields, and how they become a request
conversation                   messages and their blocks
write_response                 answers, whole and as events
errors                         the error envelope
"""
