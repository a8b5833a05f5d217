"""`python -m tests.faults.fuzz.child TARGET [libFuzzer's options and folders]`: one process that
fuzzes one target, led by what it sees of the collector's code."""

import os
import sys
import time

import atheris

with atheris.instrument_imports(include=["collector"]):
    from tests.faults.fuzz import targets

LONGEST_S = 5.0  # of CPU for one input, the instrumentation's own time included


def main() -> None:
    name = sys.argv[1]
    target = targets.TARGETS[name]

    def one(data: bytes) -> None:
        began = time.process_time()
        target(data)
        took = time.process_time() - began
        assert took < LONGEST_S, f"{took:.1f} s for {len(data)} bytes"

    # libFuzzer starts itself again where it merges corpora: run.py says by what.
    atheris.Setup([os.environ.get("FUZZ_SELF", sys.argv[0]), *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
