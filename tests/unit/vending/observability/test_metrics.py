from vending.observability.metrics import Metrics

HARMLESS = frozenset(
    {"outcome", "method", "route", "status", "kind", "state", "job"}
    | {"register", "class", "partner"}  # of keys and partners, which are few and no secret
)


def test_each_process_part_has_metrics_of_its_own() -> None:
    one, other = Metrics(), Metrics()
    one.vends.labels("issued").inc()
    assert b'vending_vends_total{outcome="issued"} 1.0' in one.render()
    assert b"vending_vends_total{" not in other.render()


def test_no_label_can_carry_a_meter_or_a_token() -> None:
    metrics = Metrics()
    for value in vars(metrics).values():
        names = getattr(value, "_labelnames", ())
        assert set(names) <= HARMLESS
