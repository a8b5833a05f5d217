"""`python -m tests.faults.fuzz.replay SECONDS SEED`: all that is kept, and then what a throw of the
dice makes of it for that long; what breaks is printed. It needs nothing but the collector, and a
process of its own: the clock stands still in it."""

import base64
import random
import sys
import time
import traceback
from collections.abc import Iterator

from tests.faults.fuzz import corpus, seeds, targets


def main() -> None:
    seconds, roll = float(sys.argv[1]), random.Random(int(sys.argv[2]))
    failed = 0
    for name, target in targets.TARGETS.items():
        kept = [*seeds.of(name, targets._paths()), *corpus.read(name)]
        tried = 0
        for data in _inputs(kept, seconds / len(targets.TARGETS), roll):
            tried += 1
            try:
                target(data)
            except Exception:  # noqa: BLE001  (any is a finding)
                failed += 1
                print(f"{name}: {base64.b64encode(data).decode()}\n{traceback.format_exc()}")
                break
        print(f"{name}: {tried} inputs, {len(kept)} of them kept")
    sys.exit(failed > 0)


def _inputs(kept: list[bytes], seconds: float, roll: random.Random) -> Iterator[bytes]:
    yield from kept
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield _mutated(roll.choice(kept), roll.choice(kept), roll)


def _mutated(data: bytes, other: bytes, roll: random.Random) -> bytes:
    """Bytes flipped, left out, said twice, or taken from another input."""
    made = bytearray(data)
    for _ in range(roll.randint(1, 4)):
        at = roll.randrange(len(made) + 1)
        end = min(len(made), at + roll.randint(1, 8))
        piece = bytes(made[at:end])
        place = roll.randrange(len(other) + 1)
        made[at:end] = roll.choice(
            [b"", piece * 2, bytes(b ^ 1 << roll.randrange(8) for b in piece), other[place:][:16]]
        )
    return bytes(made)


if __name__ == "__main__":
    main()
