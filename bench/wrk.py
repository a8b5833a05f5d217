"""The peak by wrk: its own thread keeps every connection busy, requests come from a pool made
beforehand, and only the message id is written at each one."""

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.process import Target

_SCRIPT = r"""
local head, number, sent = "", 0, 0
local pool, size, stems, run = {}, 0, 0, 0
local threads = 0

function setup(thread)
  thread:set("sender", threads)
  threads = threads + 1
end

function init(args)
  run = tonumber(args[2])
  local file = assert(io.open(args[1], "rb"))
  for text in file:read("*a"):gmatch("[^%z]+") do
    local request = {}
    for piece in text:gmatch("[^\1]+") do
      request[#request + 1] = piece
      request[#request + 1] = ""
    end
    request[#request] = nil
    size = size + 1
    pool[size] = request
    stems = (#request - 1) / 2
  end
  file:close()
  number = sender * 0x100000000
  at = tonumber(args[3])
end

local format, concat = string.format, table.concat

function request()
  if sent % 256 == 0 then
    at = at + 10
    local text = format("%012x", at)
    head = format("%s-%s-7%03x-8%03x-", text:sub(1, 8), text:sub(9), 0xf00 + sender, run)
  end
  sent = sent + 1
  number = number + 1
  local request = pool[sent % size + 1]
  local stem = head .. format("%010x", number)
  if stems == 1 then
    return request[1] .. stem .. request[3]
  end
  for i = 2, stems * 2, 2 do request[i] = stem end
  return concat(request)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(format(
    '\nJSON{"requests":%d,"micros":%d,"refused":%d,"errors":%d,' ..
    '"p50":%d,"p99":%d,"p999":%d,"max":%d}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
"""


class Loaded(msgspec.Struct):
    """What wrk saw: a closed loop, so its latencies hide stalls and are not reported."""

    requests: int
    micros: int
    refused: int
    errors: int
    p50: int
    p99: int
    p999: int
    max: int
    cpu_s: float = 0.0

    @property
    def seconds(self) -> float:
        return self.micros / 1e6

    @property
    def answered(self) -> int:
        return self.requests - self.refused


def installed() -> bool:
    return shutil.which("wrk") is not None


class Wrk:
    """Keeps pool and script in a folder, for several runs; used by `with`."""

    def __init__(self, pool: list[bytes]) -> None:
        self._pool = pool
        self._run = int.from_bytes(os.urandom(2), "big")

    def __enter__(self) -> "Wrk":
        self._folder = tempfile.TemporaryDirectory(prefix="collector-bench-wrk-")
        folder = Path(self._folder.name)
        folder.joinpath("load.lua").write_text(_SCRIPT, "ascii")
        folder.joinpath("pool").write_bytes(b"\0".join(self._pool))
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def load(
        self, target: Target, seconds: float, connections: int, tick: Callable[[], None]
    ) -> Loaded:
        self._run = (self._run + 1) & 0xFFF
        folder = Path(self._folder.name)
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "10s",
            "-s",
            str(folder / "load.lua"),
            target.url,
            "--",
            str(folder / "pool"),
            str(self._run),
            str(time.time_ns() // 1_000_000),
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with tempfile.TemporaryFile("w+") as out:
            with subprocess.Popen(command, stdout=out, stderr=out) as process:
                while process.poll() is None:
                    time.sleep(0.05)
                    tick()
            out.seek(0)
            said = out.read()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        _, found, report = said.rpartition("JSON")
        if not found:
            raise RuntimeError(f"wrk failed: {said[-500:]}")
        loaded = msgspec.json.decode(report, type=Loaded)
        loaded.cpu_s = sum(after[:2]) - sum(before[:2])
        return loaded
