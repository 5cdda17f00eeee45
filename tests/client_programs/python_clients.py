"""What clients in Python get for the questions of `test_client_programs.py`: python_clients.py NAME URL

Runs in the environment that `install.sh` made; prints one JSON object.
"""
# pyright: basic, reportMissingImports=false

import json
import sys

SKY = '{"temp": 18, "sky": "sunny"}'


def openai(url, questions):
    from openai import OpenAI

    client, forced = OpenAI(base_url=url, api_key="none", max_retries=0), questions["forced_tool"]

    def ask(messages, **fields):
        return client.chat.completions.create(model="tiny", messages=messages, **fields).choices[0].message

    turns = [{"role": "user", "content": questions["weather"]}]
    first = ask(turns, tools=[questions["weather_tool"]])
    turns += [first, {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": SKY}]
    chosen = {"type": "function", "function": {"name": forced["function"]["name"]}}
    tools = [questions["weather_tool"], forced]
    calls = [
        ask([{"role": "user", "content": "Hello"}], tools=tools, tool_choice=choice).tool_calls[0].function
        for choice in (chosen, chosen, "required")
    ]
    form = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": questions["schema"]}}
    asked = [{"role": "system", "content": questions["system"]}, {"role": "user", "content": questions["person"]}]
    stream = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": questions["plain"]}], stream=True
    )
    return {
        "plain": ask([{"role": "user", "content": questions["plain"]}]).content,
        "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in stream),
        "loop": ask(turns, tools=[questions["weather_tool"]]).content,
        "forced": [calls[0].name, json.loads(calls[0].arguments)],
        "required": len(calls[2].name) > 0,
        "structured": json.loads(ask(asked, response_format=form).content),
        **responses(client, questions),
    }


def responses(client, questions):
    """The same questions through the Responses API."""
    tool, turns = questions["weather_tool"]["function"], [{"role": "user", "content": questions["weather"]}]
    tools = [{"type": "function", **tool}]
    first = client.responses.create(model="tiny", input=turns, tools=tools)
    (call,) = [item for item in first.output if item.type == "function_call"]
    turns += [*first.output, {"type": "function_call_output", "call_id": call.call_id, "output": SKY}]
    form = {"type": "json_schema", "name": "person", "strict": True, "schema": questions["schema"]}
    fields = {"instructions": questions["system"], "input": questions["person"], "text": {"format": form}}
    with client.responses.stream(model="tiny", input=questions["plain"]) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    return {
        "responses": client.responses.create(model="tiny", input=questions["plain"]).output_text,
        "responses_streamed": [final.output_text, "".join(deltas)],
        "responses_loop": client.responses.create(model="tiny", input=turns, tools=tools).output_text,
        "responses_structured": json.loads(client.responses.create(model="tiny", **fields).output_text),
    }


def over_responses(url, questions):
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="tiny", base_url=url, api_key="none", max_retries=0, use_responses_api=True)
    streamed = "".join(chunk.text for chunk in model.stream(questions["plain"]))
    (call,) = model.bind_tools([questions["weather_tool"]]).invoke(questions["weather"]).tool_calls
    return [model.invoke(questions["plain"]).text, streamed, call["args"]]


def langchain(url, questions):
    from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="tiny", base_url=url, api_key="none", max_retries=0)
    weather, forced = questions["weather_tool"], questions["forced_tool"]
    turns = [HumanMessage(questions["weather"])]
    first = model.bind_tools([weather]).invoke(turns)
    turns += [first, ToolMessage(SKY, tool_call_id=first.tool_calls[0]["id"])]
    hello, name = [HumanMessage("Hello")], forced["function"]["name"]
    (call,) = model.bind_tools([weather, forced], tool_choice=name, parallel_tool_calls=False).invoke(hello).tool_calls
    required = model.bind_tools([weather, forced], tool_choice="any").invoke(hello).tool_calls
    schema = {"title": "person", "description": "A person.", **questions["schema"]}
    asked = [SystemMessage(questions["system"]), HumanMessage(questions["person"])]
    choice = {"title": name, "description": "A city.", **forced["function"]["parameters"]}
    return {
        "plain": model.invoke(questions["plain"]).content,
        "streamed": "".join(chunk.content for chunk in model.stream(questions["plain"])),
        "loop": model.bind_tools([weather]).invoke(turns).content,
        "forced": [call["name"], call["args"]],
        "required": len(required) > 0,
        "structured": model.with_structured_output(schema, method="json_schema").invoke(asked),
        "by_call": model.with_structured_output(choice, method="function_calling").invoke(hello),
        "responses": over_responses(url, questions),
    }


def anthropic(url, questions):
    from anthropic import Anthropic, beta_tool

    client, limit = Anthropic(base_url=url.removesuffix("/v1"), api_key="none", max_retries=0), {"max_tokens": 300}
    plain = [{"role": "user", "content": questions["plain"]}]

    def tool(spec):
        function = spec["function"]
        return {
            "name": function["name"],
            "description": function["description"],
            "input_schema": function["parameters"],
        }

    def ask(content, **fields):
        turns = [{"role": "user", "content": content}]
        return client.messages.create(model="tiny", messages=turns, **limit, **fields)

    def text(message):
        return "".join(block.text for block in message.content if block.type == "text")

    def calls(message):
        return [block for block in message.content if block.type == "tool_use"]

    weather = tool(questions["weather_tool"])

    @beta_tool(**weather)
    def get_weather(city):
        return SKY

    thinking = {"thinking": {"type": "adaptive"}}
    with client.messages.stream(model="tiny", messages=plain, **limit, **thinking) as stream:
        streamed = "".join(stream.text_stream)
        told = stream.get_final_message()
    counted = client.messages.count_tokens(model="tiny", messages=plain, **thinking).input_tokens
    loop = client.beta.messages.tool_runner(
        model="tiny", messages=[{"role": "user", "content": questions["weather"]}], tools=[get_weather], **limit
    ).until_done()
    forced = tool(questions["forced_tool"])
    tools = [weather, forced]
    (call,) = calls(ask("Hello", tools=tools, tool_choice={"type": "tool", "name": forced["name"]}))
    form = {"format": {"type": "json_schema", "schema": questions["schema"]}}
    person = ask(questions["person"], system=questions["system"], output_config=form)
    usage = told.usage
    return {
        "plain": text(ask(questions["plain"])),
        "streamed": streamed,
        "loop": text(loop),
        "forced": [call.name, call.input],
        "required": len(calls(ask("Hello", tools=tools, tool_choice={"type": "any"}))) > 0,
        "structured": json.loads(text(person)),
        "thought": [block.type for block in told.content],
        "counted": counted == usage.input_tokens + usage.cache_read_input_tokens,
    }


if __name__ == "__main__":
    told = {"openai": openai, "anthropic": anthropic, "langchain": langchain}[sys.argv[1]](
        sys.argv[2], json.load(sys.stdin)
    )
    sys.stdout.write(json.dumps(told))
