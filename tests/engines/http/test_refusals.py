"""What servers refuse, and what stands in their place: each becomes an error that says what to do, and shows no key."""

import logging

import httpx
import pytest

from mcp_local_llm.engines.http import EndpointLoader
from mcp_local_llm.engines.http.connection import translated
from mcp_local_llm.engines.http.failures import EndpointErrors
from mcp_local_llm.llm.verb_lines import read_error, write_error
from mcp_local_llm.values.errors import (
    BackendProtocolError,
    BackendUnavailableError,
    BusyError,
    ConfigError,
    ContextLengthError,
    InsufficientMemoryError,
    InvalidRequestError,
    LocalLLMError,
    ModelLoadError,
    UnknownModelError,
    sentence_for_log,
)
from mcp_local_llm.values.model import endpoint_model
from mcp_local_llm.wire.openai.errors import error_body
from tests.engines.http.asking import answer_of, asked, endpoint, engine_for
from tests.engines.http.fake_server import Exchange, Script, delta, fake_server, refuses, says

OVERFLOWS: dict[str, tuple[object, str]] = {
    "llama-server": (
        {"error": {"code": 400, "message": "request (4476 tokens) exceeds the available context size (4096 tokens), "
                   "try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": 4476, "n_ctx": 4096}},
        "4476 4096",
    ),
    "llama-server, fields only": (
        {"error": {"message": "too long", "type": "exceed_context_size_error", "n_prompt_tokens": 5, "n_ctx": 4}},
        "5 4",
    ),
    "vLLM": (
        {"object": "error", "message": "This model's maximum context length is 4096 tokens. However, you requested "
         "5000 tokens (4000 in the messages, 1000 in the completion). Please reduce the length.", "code": 400},
        "4000 4096",
    ),
    "vLLM, prompt alone": (
        {"error": {"message": "The decoder prompt (length 9000) is longer than the maximum model length of 8192."}},
        "9000 8192",
    ),
    "OpenAI": (
        {"error": {"message": "This model's maximum context length is 128000 tokens. However, your messages resulted "
         "in 130012 tokens.", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}},
        "130012 128000",
    ),
    "LM Studio": (
        {"error": "Trying to keep the first 111490 tokens when context the overflows. However, the model is loaded "
         "with context length of only 32768 tokens, which is not enough."},
        "111490 32768",
    ),
    "LM Studio, n_keep": (
        {"error": "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: "
         "13055>= n_ctx: 4096). Try to load the model with a larger context length."},
        "13055 4096",
    ),
    "oMLX": (
        {"error": {"message": "Prompt too long: 5000 tokens exceeds max context window of 4096 tokens"}}, "5000 4096"
    ),
    "Ollama": ({"error": {"message": "the input length exceeds the context length"}}, "input length exceeds"),
    "OpenAI, configured": (
        {"error": {"message": "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in "
         "477469 tokens.", "code": "context_length_exceeded"}},
        "477469 272000",
    ),
    "vLLM, an answer that is too long": (
        {"error": {"message": "'max_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and "
         "your request has 100 input tokens (5000 > 4096 - 100)."}},
        "100 max_tokens 4096",
    ),
    "code only": ({"error": {"message": "No.", "code": "context_length_exceeded"}}, "No"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), OVERFLOWS.values(), ids=OVERFLOWS.keys())
async def test_a_prompt_that_is_too_long_is_said_with_the_server_s_numbers(body: object, expected: str) -> None:
    with pytest.raises(ContextLengthError) as caught:
        await asked(refuses(400, body))
    for word in expected.split():
        assert word in str(caught.value)


async def test_an_overflow_inside_a_stream_is_the_same_error() -> None:
    body = OVERFLOWS["LM Studio"][0]
    with pytest.raises(ContextLengthError, match="111490"):
        await asked(says(body))


REFUSALS: dict[str, tuple[Script, type[LocalLLMError], str]] = {
    "429": (refuses(429, {"error": {"message": "slow down"}}, retry_after="9"), BusyError, "try again in 9 s"),
    "a full queue": (
        refuses(503, {"error": {"message": "server busy, please try again. maximum pending requests exceeded"}}),
        BusyError,
        "busy",
    ),
    "400": (refuses(400, {"error": {"message": "temperature is bad"}}), InvalidRequestError, "temperature is bad"),
    "a model it does not have": (
        refuses(404, {"error": "model 'm' not found"}), UnknownModelError, "does not have box/m",
    ),
    "a path it does not have": (refuses(404, {"detail": "Not Found"}), BackendProtocolError, "most end in /v1"),
    "no key wanted": (refuses(401, {"error": {"message": "no"}}), ConfigError, "api_key_env"),
    "500": (refuses(500, {"error": {"message": "CUDA out of memory"}}), BackendProtocolError, "CUDA out of memory"),
    "a dead upstream": (refuses(502, {"error": "bad gateway"}), BackendUnavailableError, "bad gateway"),
    "an HTML page": (refuses(200, "<html>"), BackendProtocolError, "no chat completion"),
    "an error with status 200": (refuses(200, {"error": {"message": "it broke"}}), BackendProtocolError, "it broke"),
    "garbage in the stream": (says("{not json"), BackendProtocolError, "no JSON but"),
    "an event that is no chunk": (says({"hello": 1}), BackendProtocolError, "no chat completion"),
    "an error in the stream": (
        says(delta(content="Hal"), {"error": {"message": "slot died"}}), BackendProtocolError, "slot died",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("script", "kind", "words"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_server_s_refusal_is_an_error_of_ours_in_its_words(
    script: Script, kind: type[LocalLLMError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        await asked(script)
    assert words in str(caught.value)
    assert "box" in str(caught.value)


async def test_an_error_of_our_own_server_stays_what_it_is() -> None:
    ours = InsufficientMemoryError("big needs 40 GB.\n  1. small would fit.")
    with pytest.raises(InsufficientMemoryError) as caught:
        await asked(refuses(507, error_body(ours)), flavor="mcp-local-llm")
    assert str(caught.value) == str(ours)


async def test_an_error_of_a_server_that_says_to_be_ours_stays_out_of_the_log_and_is_bounded() -> None:
    body = {"error": {"message": f"A word of the prompt.\x1b[31m\0{'x' * 100_000}", "code": "model_load"}}
    with pytest.raises(ModelLoadError, match="A word of the prompt") as caught:
        await asked(refuses(500, body), flavor="mcp-local-llm")
    assert len(str(caught.value)) < 10_000
    assert str(caught.value).isprintable()
    for error in (caught.value, read_error(write_error(caught.value)["error"])):
        assert type(error) is ModelLoadError
        assert "prompt" not in sentence_for_log(error)


async def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(BackendProtocolError, match=r"redirects to http://elsewhere\.example"):
        await asked(refuses(307, {}, location="http://elsewhere.example/v1"))


async def test_a_server_that_is_not_there_is_said_with_what_to_start() -> None:
    async with fake_server(says()) as server:
        model = endpoint_model(endpoint(server.url, "ollama"), "m")
    with pytest.raises(BackendUnavailableError, match=r"box \(http://127\.0\.0\.1.* cannot be reached.*ollama serve"):
        await EndpointLoader({}).load(model, lambda _: None)


async def test_bytes_that_are_not_http_are_a_protocol_error() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.raw(b"SSH-2.0-OpenSSH_9.9\r\n")

    with pytest.raises((BackendProtocolError, BackendUnavailableError), match="box"):
        await asked(script)


async def test_a_key_is_sent_and_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = "sk-very-secret"
    script = refuses(400, {"error": {"message": f"bad request, key {key} given"}})
    async with engine_for(script, api_key_env="BOX_KEY", environ={"BOX_KEY": key}) as (engine, server):
        with pytest.raises(InvalidRequestError) as caught:
            await answer_of(engine)
    assert {request.headers["authorization"] for request in server.received} == {f"Bearer {key}"}
    assert key not in str(caught.value)
    assert key not in caplog.text


async def test_a_refused_key_names_its_variable_and_not_what_the_server_said() -> None:
    script = refuses(401, {"error": {"message": "Incorrect API key provided: sk-ver***ret"}})
    async with engine_for(script, api_key_env="BOX_KEY", environ={"BOX_KEY": "x"}) as (engine, _):
        with pytest.raises(ConfigError, match=r"refused the key \(HTTP 401\).*BOX_KEY") as caught:
            await answer_of(engine)
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "näh", "a\nb"])
async def test_a_key_that_cannot_be_sent_is_said_without_it(key: str) -> None:
    with pytest.raises(ConfigError, match="BOX_KEY") as caught:
        async with engine_for(says(), api_key_env="BOX_KEY", environ={"BOX_KEY": key}):
            pass
    assert not key or key not in str(caught.value)


def _kinds(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _kinds(child))]


@pytest.mark.parametrize("kind", [*_kinds(httpx.HTTPError), *_kinds(httpx.StreamError), httpx.InvalidURL])
def test_every_exception_of_the_http_library_becomes_one_of_ours(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    error.args = ("why",)
    with pytest.raises(LocalLLMError, match="box"), translated(EndpointErrors(endpoint("http://h/v1")), 5.0):
        raise error


async def test_a_server_that_keeps_saying_that_its_holder_is_gone_is_an_unavailable_server_at_once() -> None:
    body = {"error": {"message": "The process that held the model is gone.", "code": "holder_gone"}}
    async with engine_for(refuses(503, body), "mcp-local-llm") as (engine, server):
        before = len(server.received)
        with pytest.raises(BackendUnavailableError) as caught:
            await answer_of(engine)
        assert type(caught.value) is BackendUnavailableError
        assert "is gone" in str(caught.value)
        assert len(server.received) == before + 1
