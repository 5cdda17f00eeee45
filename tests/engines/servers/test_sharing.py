"""A server that one session has started answers the others, set up as the profile says that any of them names."""

from pathlib import Path

import anyio
import anyio.to_thread
import psutil
import pytest

from tests.clients import WAIT_S
from tests.engines.servers.test_servers import gone, server_among
from tests.model_cache import write
from tests.sharing.sessions import ask, holder_of, remove_runtime, report, sessions

pytestmark = pytest.mark.slow

PROFILE = '[profiles.six]\nmodel = "toy"\ncontext = 1024\nslots = 6\n'


async def test_a_profile_named_in_another_session_sets_up_the_holders_server(
    environ: dict[str, str], home: Path, models: Path, standin: Path
) -> None:
    basis = f'folders = ["{models}"]\nllama_server = "{standin}"\n'
    write(home / ".config" / "mcp-local-llm" / "config.toml", basis + PROFILE)
    with anyio.fail_after(WAIT_S):
        async with sessions(environ, 2) as (first, second):
            await ask(first, model="plain")
            holder = holder_of(environ)
            assert holder is not None
            assert (await report(second, "set_model", name="six"))["model"] == "toy"
            started = psutil.Process(holder).children(recursive=True)
            line = server_among(started).cmdline()
            assert line[line.index("--ctx-size") + 1] == "6144"
            assert line[line.index("--parallel") + 1] == "6"
            assert [await ask(one) for one in (first, second)] == ["Hello", "Hello"]
            assert server_among(psutil.Process(holder).children(recursive=True)).cmdline() == line
        assert await gone(started)
    await anyio.to_thread.run_sync(remove_runtime, environ)
