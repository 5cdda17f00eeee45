"""OpenAI's Responses API, as our server speaks it: requests to values, answers to events. Pure.

It reads a request by writing it as a chat completion, whose reader checks it; nothing is stored between requests.
"""
