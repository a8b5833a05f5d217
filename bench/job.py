"""What a load generator is told, and what it reports."""

import msgspec


class Job(msgspec.Struct, kw_only=True):
    """`rate`: requests a second, 0 for a closed loop. `start_at`: on the monotonic clock."""

    host: str
    port: int
    pool: list[bytes]
    sender: int
    run: int
    rate: float
    seconds: float
    connections: int
    start_at: float
    give_up_s: float = 10.0


class Report(msgspec.Struct, kw_only=True):
    """`outcomes`: a byte a request; `micros`: latencies of the stored ones; `lag`: how late the
    generator itself was, once a tick, both as packed unsigned integers in microseconds;
    `in_time`: stored before the end of the load, the rest was waited for."""

    outcomes: bytes
    micros: bytes
    lag: bytes
    seconds: float
    in_time: int
    cpu_s: float
