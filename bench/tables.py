"""The results as Markdown, between markers, so that a README can take them over."""

from collections.abc import Iterable, Iterator

from bench.result import Result, Run, median

BEGIN, END = "<!-- bench:{name} -->", "<!-- /bench:{name} -->"


def render(results: dict[str, Result], plots: list[str]) -> str:
    parts = ["# Measured", "", "Made by `python -m bench report` from the JSON files beside it."]
    for name, result in results.items():
        parts += ["", f"## {name}", "", block(name, result)]
        own = (plot for plot in sorted(plots) if plot.startswith(f"{name}-"))
        parts += [f"\n![{plot}]({plot}.svg)" for plot in own]
    return "\n".join(parts) + "\n"


def block(name: str, result: Result) -> str:
    """What stands between the markers of `name`, and these."""
    lines = [BEGIN.format(name=name), machine(result), "", *_table(result.runs)]
    ratios = {
        figure: value for figure, value in result.figures.items() if not _in_table(figure, result)
    }
    if ratios:
        lines += ["", "| figure | value |", "|---|--:|"]
        words = str.maketrans("._", "  ")
        lines += [
            f"| {figure.translate(words)} | {value:,.3f} |" for figure, value in ratios.items()
        ]
    return "\n".join([*lines, END.format(name=name)])


def documented(text: str, results: dict[str, Result]) -> str:
    """A page with what stands between markers as the results have it."""
    for name, result in results.items():
        before, found, rest = text.partition(BEGIN.format(name=name))
        if found:
            text = before + block(name, result) + rest.partition(END.format(name=name))[2]
    return text


def machine(result: Result) -> str:
    m = result.machine
    others = f"; other processes took {m.others_share:.2f} cores" if m.others_share > 0.05 else ""
    quick = " **A quick run: these figures mean nothing.**" if result.quick else ""
    aiohttp = m.libraries.get("aiohttp", "?")
    return (
        f"{m.cores} × {m.cpu}, Linux {m.kernel}, {m.file_system}, one sync {m.sync_ms:.2f} ms; "
        f"Python {m.python} ({m.python_build} build), aiohttp {aiohttp}, SQLite "
        f"{m.sqlite}; {result.started_at[:10]}; the load came from the same cores{others}.{quick}"
    )


def _in_table(figure: str, result: Result) -> bool:
    return any(
        figure.startswith(f"{run.subject}.{run.shape}.{run.load}.")
        and not figure.endswith("over_limit")
        for run in result.runs
    )


def _table(runs: list[Run]) -> list[str]:
    columns = [
        "what",
        "events/s",
        "per CPU s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "RSS MB",
        "lost",
        "generator's CPU",
    ]
    lines = [f"| {' | '.join(columns)} |", "|---|" + "--:|" * (len(columns) - 1)]
    lines += [f"| {' | '.join(_row(label, group))} |" for label, group in grouped(runs)]
    return lines


def grouped(runs: Iterable[Run]) -> Iterator[tuple[str, list[Run]]]:
    """Runs that differ only by round, under a name."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        varied = (f", {name} {_short(value)}" for name, value in run.at.items())
        at = "".join(varied).replace("_", " ")
        groups.setdefault(f"{run.subject} {run.shape}, {run.load}{at}", []).append(run)
    yield from groups.items()


def _row(label: str, group: list[Run]) -> list[str]:
    latencies = [run.latency for run in group if run.latency]
    peaks = [run.rss_peak / 1e6 for run in group if run.rss_peak]
    lost = [run.lost for run in group if run.lost is not None]
    return [
        label,
        _number(median(run.events_per_s for run in group)),
        _number(median(run.events_per_cpu_s for run in group)),
        _number(median(found.p50 for found in latencies), 1),
        _number(median(found.p99 for found in latencies), 1),
        _number(median(found.p999 for found in latencies), 1),
        _number(max(peaks, default=None)),
        _number(sum(lost) if lost else None),
        _number(median(run.generator_cpu_share for run in group), 2),
    ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
