"""The real server process that the clients talk to."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.harness import Collector


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[Collector]:
    async with Collector(tmp_path) as process:
        yield process
