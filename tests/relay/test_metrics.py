"""Metrics: valid, complete, and with labels that no user can choose."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from protocol.errors import Close, Code
from relay.broker.memory import Bus
from relay.metrics import exposition
from relay.node import open_node
from relay.testing import small
from storage.memory import MemoryStore


async def test_metrics() -> None:
    store = MemoryStore(clock_ms=lambda: 1_700_000_000_000)
    async with (
        Bus().open(lambda c, d: None, lambda: None) as broker,
        open_node(small(), store, broker, bytes(16)) as node,
    ):
        await store.reports.post(bytes(32), b"sealed")
        await node.relay.reports.load()
        counters = node.counters
        counters.publishes, counters.deliveries, counters.gaps, counters.failed_logins = 7, 70, 2, 3
        counters.errors[Code.NOT_FOUND] += 4
        counters.errors[987654] += 1  # never a label
        counters.closes[Close.SLOW] += 1
        counters.publish_ms.observe(0.3)
        counters.publish_ms.observe(99_999)
        families = {family.name: family for family in text_string_to_metric_families(exposition(node).decode())}
    values = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["chappe_publishes_total",] == 7
    assert values["chappe_deliveries_total",] == 70
    assert values["chappe_gaps_total",] == 2
    assert values["chappe_failed_logins_total",] == 3
    assert values["chappe_errors_total", "404"] == 4
    assert values["chappe_closes_total", "4001"] == 1
    assert ("chappe_errors_total", "987654") not in values
    assert values["chappe_publish_seconds_bucket", "0.0005"] == 1
    assert values["chappe_publish_seconds_bucket", "+Inf"] == 2
    assert values["chappe_publish_seconds_count",] == 2
    assert values["chappe_reports_waiting",] == 1
    assert values["chappe_reports_oldest_ms",] == 1_700_000_000_000
    assert {"chappe_connections", "chappe_queued_bytes", "chappe_catchup_backlog", "chappe_fanout_seconds"} <= set(
        families
    )
    assert all(family.documentation for family in families.values())
    assert len(values) < 200
