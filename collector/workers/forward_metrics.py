"""Each upstream in Prometheus' terms."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from collector.workers.forwarder import Forwarder, Status

COUNTERS: dict[str, tuple[str, Callable[[Status], float]]] = {
    "forwarded_events": ("Events an upstream has confirmed.", lambda s: s.forwarded_events),
    "forward_batches": ("Batches it has confirmed.", lambda s: s.batches),
    "forward_retries": ("Tries that failed and are repeated.", lambda s: s.retries),
    "forward_refused_events": ("Events it will not have.", lambda s: s.refused_events),
    "forward_sent_bytes": ("Bytes sent to it, compressed.", lambda s: s.sent_bytes),
}
GAUGES: dict[str, tuple[str, Callable[[Status], float]]] = {
    "forward_lag_events": ("Events it does not have yet.", lambda s: s.lag_events),
    "forward_lag_seconds": ("Age of the oldest of them.", lambda s: s.lag_s),
    "forward_in_flight": ("Requests under way.", lambda s: s.in_flight),
    "forward_stopped": ("1 when it denies all: 401, 403.", lambda s: s.state == "stopped"),
    "forward_failing": ("1 while the last try failed.", lambda s: s.state != "running"),
}


def collect(forwarders: Iterable[Forwarder]) -> Iterator[Metric]:
    statuses = [forwarder.status() for forwarder in forwarders]
    for kind, table in ((CounterMetricFamily, COUNTERS), (GaugeMetricFamily, GAUGES)):
        for name, (text, read) in table.items():
            family = kind(f"collector_{name}", text, labels=["upstream"])
            for status in statuses:
                family.add_metric([status.name], float(read(status)))
            yield family
