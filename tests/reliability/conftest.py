"""What tests of signals to one server share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.reliability.phases import Scene, scene_in


@pytest.fixture
async def scene(home: Path) -> AsyncIterator[Scene]:
    with scene_in(home) as made:
        yield made
