"""Our values ⇄ the JSON of OpenAI's API; pure, no connection is opened here.

client_request    ChatRequest → the body we send          (flavors: what each server understands)
client_response   what a server answers → AnswerPiece     (context_overflow, models: what else it says)
server_request    the body we are sent → ChatRequest      (server_bodies: its schema)
server_response   ChatResult, ChatChunk → what we answer
server_completion the older API, both ways: a raw prompt and its continuation
sse, envelope, progress, extension                        both ways: events, errors, progress, our own members
"""
