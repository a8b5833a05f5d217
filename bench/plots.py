"""Plots of the results, as SVG and PNG: latency percentiles, the rate over the table's size,
the ratio to peers, memory over time. Nothing in them depends on the day they are drawn."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

from bench.result import Result, Run, median
from bench.tables import grouped

mpl.use("Agg")
mpl.rcParams["svg.hashsalt"] = "bench"

from matplotlib import pyplot as plt  # noqa: E402  (after the choice of backend)

_PERCENTILES = ("50", "75", "90", "95", "99", "99.5", "99.9", "99.95", "99.99")


def draw(results: dict[str, Result], folder: Path) -> list[str]:
    """Returns the names of the plots made, each `<result>-<what>`."""
    made = []
    for name, result in results.items():
        for what, plot in (
            ("latency", _latency),
            ("growth", _growth),
            ("peers", _peers),
            ("memory", _memory),
        ):
            figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
            if plot(axes, result.runs):
                made.append(f"{name}-{what}")
                figure.savefig(folder / f"{made[-1]}.svg", metadata={"Date": None})
                figure.savefig(folder / f"{made[-1]}.png", dpi=120, metadata={"Software": None})
            plt.close(figure)
    return made


def _latency(axes: Any, runs: list[Run]) -> bool:
    """One line for each load, medians over rounds, far percentiles spread out."""
    drawn = False
    paced = [run for run in runs if run.latency and "minute" not in run.at]
    for label, group in grouped(paced):
        curves = [run.latency.curve for run in group if run.latency]
        heights = [median(curve.get(point) for curve in curves) for point in _PERCENTILES]
        axes.plot(range(len(_PERCENTILES)), heights, marker="o", label=label)
        drawn = True
    if drawn:
        axes.set_xticks(range(len(_PERCENTILES)), _PERCENTILES)
        axes.set(
            xlabel="percentile", yscale="log", ylabel="ms from the intended time to the answer"
        )
        axes.grid(True, which="both", alpha=0.3)
        axes.legend(fontsize=8)
    return drawn


def _growth(axes: Any, runs: list[Run]) -> bool:
    steps = [run for run in runs if "rows_before" in run.at]
    if not steps:
        return False
    axes.plot(
        [(run.at["rows_before"] + run.events) / 1e6 for run in steps],
        [run.events_per_s for run in steps],
        marker="o",
    )
    axes.set(xlabel="rows in the table, millions", ylabel="events/s", ylim=(0, None))
    axes.grid(True, alpha=0.3)
    return True


def _peers(axes: Any, runs: list[Run]) -> bool:
    """Requests a processor second."""
    if len({run.subject for run in runs if run.cpu_s and run.load == "peak"}) < 2:
        return False
    labels, lengths = [], []
    for label, group in grouped(run for run in runs if run.load == "peak" and run.requests_per_s):
        length = median(
            (run.requests_per_s or 0) * run.seconds / max(0.01, run.cpu_s or 0) for run in group
        )
        labels.append(label.removesuffix(", peak"))
        lengths.append(length or 0)
    axes.barh(labels[::-1], lengths[::-1])
    axes.set(xlabel="requests a processor second")
    axes.grid(True, axis="x", alpha=0.3)
    return True


def _memory(axes: Any, runs: list[Run]) -> bool:
    minutes = [run for run in runs if "minute" in run.at and run.rss_end]
    if len(minutes) < 2:
        return False
    at = [run.at["minute"] for run in minutes]
    axes.plot(at, [(run.rss_end or 0) / 1e6 for run in minutes], color="C0")
    axes.set(xlabel="minutes", ylim=(0, None))
    axes.set_ylabel("memory, MB", color="C0")
    beside = axes.twinx()
    beside.plot(at, [run.latency.p99 if run.latency else None for run in minutes], color="C1")
    beside.set_ylabel("p99, ms", color="C1")
    beside.set_ylim(0, None)
    return True
