"""What an operator watches, in Prometheus' text format. Labels come from closed sets only, never from users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from protocol.errors import Close, Code
from relay.admission.why import Why
from relay.bounds import WORKER_LABELS_MAX
from relay.counters import BUCKETS_MS, Histogram
from relay.node import Node
from relay.slots import GroupStatistics

_COUNTERS = {
    "accepted": "websockets opened",
    "refused_handshakes": "connections that never became a websocket",
    "logins": "successful logins",
    "failed_logins": "refused logins",
    "publishes": "PUBs of stored messages handed to the store",
    "ephemerals": "ephemeral messages spread",
    "deliveries": "MSG frames handed to live subscribers",
    "history": "MSG frames handed to subscribers behind the head",
    "fell_behind": "live subscriptions that became slower than their topic",
    "gaps": "GAP frames sent",
    "fills": "gaps of hubs closed from the store",
    "blobs_put": "blobs uploaded over HTTP",
    "blobs_got": "blobs read over HTTP, whole or in part",
    "blob_bytes_in": "bytes of blobs uploaded over HTTP",
    "blob_bytes_out": "bytes of blobs read over HTTP",
    "sent_away": "connections ended by a ban or by the operator",
    "invited": "accounts registered with an invitation",
    "admin": "requests of the operator that were carried out",
    "refused_admin": "requests to the admin interface without the right token",
    "failures": "bugs caught at a boundary; look for 'failed' in the log",
}


class NodeCollector(Collector):
    """Reads a node's counters and statistics when a scrape asks."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """All metrics of the relay."""
        yield from self._counters()
        yield from self._gauges()
        yield from worker_gauges(self._node.relay.slots.statistics())
        counters = self._node.counters
        yield _histogram("chappe_publish_seconds", "PUB read to OK sent", counters.publish_ms)
        yield _histogram("chappe_fanout_seconds", "OK sent to last live subscriber served", counters.fanout_ms)

    def _counters(self) -> Iterator[Metric]:
        counters = self._node.counters
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"chappe_{name}", text, value=getattr(counters, name))
        errors = CounterMetricFamily("chappe_errors", "ERR frames by code", labels=["code"])
        for code in Code:
            errors.add_metric([str(int(code))], counters.errors[code])
        yield errors
        refusals = CounterMetricFamily("chappe_refusals", "defence: refused or cut off, by reason", labels=["reason"])
        for why in Why:
            refusals.add_metric([why.value], counters.refusals[why])
        yield refusals
        closes = CounterMetricFamily("chappe_closes", "connections ended by the relay, by close code", labels=["code"])
        for close in Close:
            closes.add_metric([str(int(close))], counters.closes[close])
        yield closes

    def _gauges(self) -> Iterator[Metric]:
        now, workers = self._node.statistics(), self._node.workers()
        values = {
            "connections": ("open websockets", now.connections),
            "queued_bytes": ("bytes that wait for slow sockets", now.listener.buffered_bytes),
            "inflight_publishes": ("PUBs that wait for their commit", now.inflight),
            "catchup_backlog": ("subscriptions behind the head", now.backlog),
            "subscriptions": ("subscriptions of all connections", now.hubs.subscriptions),
            "hubs": ("topics in memory", now.hubs.hubs),
            "ring_bytes": ("recent frames in memory", now.hubs.ring_bytes),
            "store_queued": ("writes that wait for a commit", now.store.queued),
            "store_commits": ("commits since the start", now.store.commits),
            "store_bytes": ("size of the database", now.store.bytes),
            "store_commit_p50_ms": ("commit latency, median", now.store.commit_ms_p50),
            "store_commit_p99_ms": ("commit latency, 99th percentile", now.store.commit_ms_p99),
            "broker_connected": ("link to the other relays", now.broker.connected),
            "broker_dropped": ("announcements that were lost", now.broker.dropped),
            "bans": ("bans in force", now.rules.bans),
            "quotas": ("bounds of single accounts", now.rules.quotas),
            "meters": ("devices, accounts and addresses whose rates are kept", now.rules.meters),
            "presence_shown": ("accounts of which others may be told that they are here", now.presence.shown),
            "presence_watches": ("accounts that connections watch", now.presence.watches),
            "presence_told": ("EVT frames about presence since the start", now.presence.told),
            "presence_unwatched": ("watches refused: too many watch the account", now.presence.unwatched),
            "insecure_settings": ("settings that are dangerous in public", len(self._node.insecure)),
            "reports_waiting": ("reports that the operator has not closed", now.reports.count),
            "reports_oldest_ms": ("when the oldest of them was made, Unix ms; 0: none waits", now.reports.oldest_ms),
            "draining": ("this relay is ending", now.is_draining),
            "workers_down": ("workers beside this relay that stay down", sum(bool(w.down) for w in workers)),
        }
        for name, (text, value) in values.items():
            yield GaugeMetricFamily(f"chappe_{name}", text, value=float(value))


def worker_gauges(groups: Sequence[GroupStatistics]) -> Iterator[Metric]:
    """Gauges by worker: of those connected for longest by account (16 hex digits), of all others together."""
    named: dict[str, tuple[str, Callable[[GroupStatistics], int]]] = {
        "processes": ("connected processes of a worker", lambda group: group.processes),
        "slots": ("slots that a process of the worker holds", lambda group: group.slots),
        "topics": ("conversations and inboxes of the worker", lambda group: group.topics),
        "waiting": ("of them with news that wait to be delivered", lambda group: group.waiting),
        "lag_topics": ("of them not acknowledged to the head", lambda group: group.lag.topics),
        "lag_entries": ("entries that the worker has not acknowledged", lambda group: group.lag.entries),
    }
    for name, (text, value) in named.items():
        gauge = GaugeMetricFamily(f"chappe_worker_{name}", text, labels=["worker"])
        for group in groups[:WORKER_LABELS_MAX]:
            gauge.add_metric([group.account.hex()[:16]], value(group))
        if groups[WORKER_LABELS_MAX:]:
            gauge.add_metric(["other"], sum(value(group) for group in groups[WORKER_LABELS_MAX:]))
        yield gauge


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    total = 0
    buckets = []
    for bound, count in zip(BUCKETS_MS, histogram.counts, strict=False):
        total += count
        buckets.append((str(bound / 1000), float(total)))
    buckets.append(("+Inf", float(sum(histogram.counts))))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum_ms / 1000)


def exposition(node: Node) -> bytes:
    """The text that ``/metrics`` answers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(node))
    return generate_latest(registry)
