"""The npm package: packed, installed without network, imported, and its types compiled."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

PIXEL = Path(__file__).parent.parent / "pixel_js"
USE = """
import { load, type Pixel } from "collector-pixel";
const pixel: Pixel = load({ key: "wk_1", endpoint: "/c" });
pixel.track("Purchase", { total: 5 });
// @ts-expect-error: a total is a number
pixel.track("Purchase", { total: "5" });
"""
CONFIG = {
    "compilerOptions": {
        "module": "ESNext",
        "moduleResolution": "bundler",
        "target": "ES2022",
        "lib": ["ES2022", "DOM"],
        "types": [],
        "strict": True,
        "noEmit": True,
    },
    "files": ["use.ts"],
}


def run(*command: str, cwd: Path) -> str:
    program = shutil.which(command[0])
    assert program
    done = subprocess.run([program, *command[1:]], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not (PIXEL / "node_modules").exists(), reason="npm packages not installed")
def test_the_package_is_installed_without_network_and_typed(tmp_path: Path) -> None:
    packed = json.loads(run("npm", "pack", "--json", f"--pack-destination={tmp_path}", cwd=PIXEL))
    (package,) = packed if isinstance(packed, list) else packed.values()
    names = {file["path"] for file in package["files"]}
    assert {"package.json", "index.d.ts", "dist/index.js"} <= names
    assert not [name for name in names if not name.startswith(("dist/", "index.d.ts", "package"))]

    program = tmp_path / "program"
    program.mkdir()
    (program / "package.json").write_text('{"name": "program", "type": "module"}')
    archive = str(tmp_path / package["filename"])
    run("npm", "install", "--offline", "--no-audit", "--no-fund", archive, cwd=program)
    said = run(
        "node",
        "-e",
        "import('collector-pixel').then(m => console.log(Object.keys(m)))",
        cwd=program,
    )
    assert "load" in said

    (program / "use.ts").write_text(USE)
    (program / "tsconfig.json").write_text(json.dumps(CONFIG))
    run("node", str(PIXEL / "node_modules/typescript/bin/tsc"), "-p", ".", cwd=program)
