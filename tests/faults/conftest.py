"""The full disks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disks import SizeLimit, SmallDisk, small_disk

SIZE = "64m"


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", SIZE) as disk:
        yield disk


@pytest.fixture(params=["no space left", "file size limit"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk | SizeLimit]:
    if request.param == "file size limit":
        yield SizeLimit(tmp_path / "disk")
        return
    with small_disk(tmp_path / "disk", SIZE) as disk:
        yield disk
