"""`python -m bench`."""

from bench import (  # noqa: F401  (each adds its commands)
    audiences,
    beside,
    dashboard,
    forward,
    growth,
    ingest,
    overload,
    parts,
    peers,
    people,
    report,
    soak,
    sync,
)
from bench.cli import main

if __name__ == "__main__":
    main(prog_name="python -m bench")
