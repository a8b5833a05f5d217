"""The floors of docs/ARCHITECTURE.md, read from the imports."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "collector"
GROUND = {
    "event",
    "config",
    "config_audiences",
    "config_clients",
    "config_http",
    "errors",
    "fleet",
    "config_privacy",
    "config_rates",
    "section",
    "metrics",
    "rows",
    "compiled",
    "_compiled",
    "clock",
    "logs",
    "reference",
    "settings",
    "snippet",
}
FLOORS = {
    "audience": 1,
    "people": 1,
    "upstream": 1,
    "wire": 1,
    "store": 1.5,  # its queries may take the types of people and audience
    "workers": 2,
    "ingest": 3,
    "admin": 3,
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(module: str) -> str:
    """`store` of collector.store.log, `cli` of collector.cli, `ground` of floor 0."""
    name = (*module.split("."), "__init__")[1]
    return "ground" if name in GROUND or name in ("__init__", "__version__") else name


def floor(name: str) -> float:
    return 0 if name == "ground" else FLOORS.get(name, 4)


def module_of(path: Path) -> str:
    return ".".join(("collector", *path.relative_to(PACKAGE).with_suffix("").parts))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_imports_from_its_own_room_or_from_lower_floors(path: Path) -> None:
    own = room(module_of(path))
    for name in imports(path):
        if name.startswith("collector."):
            other = room(name)
            assert other == own or floor(other) < floor(own) or floor(own) == 4, name


def test_only_the_store_touches_sqlite() -> None:
    drivers = {"sqlite3", "pysqlite3", "aiosqlite"}
    touching = {
        room(module_of(path))
        for path in FILES
        if any(name.split(".")[0] in drivers for name in imports(path))
    }
    assert touching == {"store"}


def test_no_server_objects_below_the_doors() -> None:
    for path in FILES:
        if floor(room(module_of(path))) < 3:
            used = {name for name in imports(path) if name.split(".")[0] == "aiohttp"}
            client = room(module_of(path)) == "upstream"  # may send, and that is all
            assert not used or (client and not any("web" in name for name in used)), path


def test_no_circles() -> None:
    modules = {module_of(path): imports(path) for path in FILES}
    graph = {name: {m for m in found if m in modules} - {name} for name, found in modules.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400
