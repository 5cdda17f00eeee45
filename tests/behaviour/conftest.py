"""One world for the tests of a module: loading its model once is enough."""

from collections.abc import AsyncGenerator

import pytest

from tests.behaviour.places import World, open_world


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[World]:
    """Every place where the reciting model can be asked."""
    async with open_world(tmp_path_factory.mktemp("h")) as opened:
        yield opened
