"""The HTTP doors by their own description: requests that schemathesis draws from it, sent to a real `serve`.

The library draws valid requests and such as break the description, and holds every response against it: its status,
content type and schema, events of a stream among them.
"""

import importlib
import signal
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clients import WAIT_S, private_environ
from tests.doors.http.test_serve import Served, serve
from tests.reliability.drawn import VALUES, as_json, drawing, drawn, fault_of_error
from tests.reliability.proofs import PROVE, Table

GROUP = "Bad input"
TITLE = "The HTTP doors, by their own description"
ABOUT = (
    "schemathesis draws requests from `/openapi.json` of a running `serve`, valid ones and such as break the "
    "description, and holds each response against it: status, content type, schema, no 500."
)
COLUMNS = ("operation", "requests sent", "server errors", "answers that break the description")


@dataclass
class Counts:
    """What became of the requests of one operation."""

    sent: int = 0
    server_errors: int = 0
    broken: int = 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    home = tmp_path_factory.mktemp("home")
    environ = {**private_environ(home), "MCP_LOCAL_LLM_MAX_GENERATION_TOKENS": "2", "MCP_LOCAL_LLM_MODEL": "tiny"}
    with serve(environ) as process:
        yield process
        number, out, errors = process.stop(signal.SIGTERM)
        assert (number, out) == (0, "")
        assert "Traceback" not in errors, errors[-3000:]


def base_of(served: Served) -> str:
    return served.url.removesuffix("/v1")


def schemathesis() -> Any:
    """The library, which takes a second to import: only the test that needs it shall wait."""
    return importlib.import_module("schemathesis")


def tried(operation: Any, mode: Any, base: str, count: int, counts: Counts) -> list[str]:
    """Send so many requests of an operation; returns what was wrong, and adds to the counts."""
    wrong, library = list[str](), schemathesis()
    checks = library.specs.openapi.checks
    chosen = [
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]

    @drawing(count)
    @given(case=operation.as_strategy(mode))
    def send(case: Any) -> None:
        body: Any = case.body
        if counts.sent % 2 and isinstance(body, dict):
            # So that half of them reach the model, whose name is not in the description.
            cast(dict[str, Any], body).pop("model", None)
        shown = repr(cast(object, body))[:300]
        response = case.call(base_url=base, timeout=WAIT_S)
        counts.sent += 1
        if response.status_code >= 500:
            counts.server_errors += 1
            wrong.append(f"{operation.label}: {response.status_code} {response.text[:300]} for {shown}")
        try:
            case.validate_response(response, checks=chosen)
        except library.core.failures.FailureGroup as failures:
            counts.broken += 1
            wrong.append(f"{operation.label}: {failures.exceptions[0]!s:.300} for {shown}")

    send()
    return wrong


@pytest.mark.fault(
    GROUP,
    "HTTP requests drawn from `/openapi.json`, valid ones and such as break it, to every operation",
    promised="each gets an answer or an error as described, and no 500",
    tries=60,
)
def test_the_doors_keep_to_their_own_description(served: Served, tries: int, request: pytest.FixtureRequest) -> None:
    base = base_of(served)
    found: dict[str, Counts] = {}
    wrong: list[str] = []
    library = schemathesis()
    for result in library.openapi.from_url(f"{base}/openapi.json").get_all_operations():
        operation = result.ok()
        counts = found.setdefault(operation.label, Counts())
        for mode in library.GenerationMode:
            # Nothing about a request without parameters can be wrong.
            if operation.body or mode == library.GenerationMode.POSITIVE:
                wrong += tried(operation, mode, base, tries, counts)
    assert len(found) >= 10
    request.node.user_properties.append(("tries", sum(counts.sent for counts in found.values())))
    folder: Path | None = request.config.getoption(PROVE)
    if folder:
        rows = [
            [f"`{label}`", f"{counts.sent:,}", str(counts.server_errors), str(counts.broken)]
            for label, counts in found.items()
        ]
        Table(TITLE, ABOUT, COLUMNS, rows).save(folder)
    assert "\n".join(wrong) == ""


BODIES = ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses")
CONTENT_TYPES = ("application/json", "text/plain", "application/octet-stream", "", "multipart/form-data; boundary=x")


@pytest.mark.fault(
    GROUP,
    "HTTP bodies that are no JSON, or any JSON: bytes, halves of bodies, NaN, endless nesting, other content types",
    promised="each gets 400 in the envelope of its API, with a sentence",
    tries=300,
)
def test_a_body_that_is_no_request_is_refused_in_its_envelope(served: Served, tries: int) -> None:
    raw = st.one_of(
        st.binary(max_size=60),
        VALUES.map(lambda value: as_json(value).encode()),
        st.sampled_from(
            [b"", b"[" * 100_000, b'{"model":' + b"9" * 5000 + b"}", b'{"temperature": NaN}', b"\xff\xfe{"]
        ),
    )
    kinds, wrong = st.sampled_from(CONTENT_TYPES), list[str]()
    with httpx.Client(base_url=base_of(served), timeout=WAIT_S) as client:
        for path, body, kind in drawn(st.tuples(st.sampled_from(BODIES), raw, kinds), tries):
            reply = client.post(path, content=body, headers={"content-type": kind} if kind else {})
            told = reply.json()["error"]["message"]
            if reply.status_code != 400 or fault_of_error(told) or ("/messages" in path) != ("type" in reply.json()):
                wrong.append(f"{path} {body[:200]!r}: {reply.status_code} {told[:300]}")
        assert client.get("/health").status_code == 200
    assert "\n".join(wrong) == ""
