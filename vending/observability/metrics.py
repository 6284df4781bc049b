"""The counters that Prometheus reads at `/metrics`; no label ever carries a meter or a token."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_VEND_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass
class Metrics:
    """Every metric of one process, in a registry of its own, so that tests do not share them."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.vends = Counter(
            "vending_vends_total",
            "Vend requests by outcome: issued, replayed, or the code of the refusal",
            ["outcome"],
            registry=self.registry,
        )
        self.vend_duration = Histogram(
            "vending_vend_duration_seconds",
            "Time from the request to the committed answer",
            buckets=_VEND_BUCKETS_S,
            registry=self.registry,
        )
        self.requests = Counter(
            "vending_http_requests_total",
            "HTTP requests by route and status",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.commands = Counter(
            "vending_meter_commands_total",
            "Commands to meters by kind and the state they reached",
            ["kind", "state"],
            registry=self.registry,
        )
        self.outbox_age = Gauge(
            "vending_outbox_oldest_seconds",
            "Age of the oldest message that still waits in the outbox",
            registry=self.registry,
        )
        self.open_sale_age = Gauge(
            "vending_sales_open_oldest_seconds",
            "Age of the oldest sale that was paid for and has no token yet",
            registry=self.registry,
        )
        self.job_failures = Counter(
            "vending_worker_failures_total",
            "Runs of a job, or messages of a topic, that ended in an error",
            ["job"],
            registry=self.registry,
        )
        self.outbox_parked = Gauge(
            "vending_outbox_parked",
            "Messages of the outbox that failed for good and wait for a person",
            registry=self.registry,
        )
        self.commands_unfinished = Gauge(
            "vending_commands_unfinished",
            "Commands to meters that are not finished, by state",
            ["state"],
            registry=self.registry,
        )
        self.clock_trusted = Gauge(
            "vending_clock_trusted",
            "1 while the clock agrees with the last committed time, else 0 and vending stands",
            registry=self.registry,
        )
        self._add_trust()

    def _add_trust(self) -> None:
        """Add what watches keys, limits and the audit chain."""
        self.audit_seal_lag = Gauge(
            "vending_audit_seal_lag_seconds",
            "Age of the oldest act that is not sealed into the audit chain yet",
            registry=self.registry,
        )
        self.key_expiry = Gauge(
            "vending_key_expiry_seconds",
            "Time until a vending key that meters are on expires; negative once it has",
            ["register"],
            registry=self.registry,
        )
        self.ceiling_used = Gauge(
            "vending_ceiling_used_ratio",
            "Share of a key's ceiling of the day that is used, by class of tokens",
            ["register", "class"],
            registry=self.registry,
        )
        self.credit_line_used = Gauge(
            "vending_credit_line_used_ratio",
            "Share of a partner's credit line that is used",
            ["partner"],
            registry=self.registry,
        )
        self.module_open = Gauge(
            "vending_security_module_open",
            "1 while the breaker before the security module is open and requests are refused",
            registry=self.registry,
        )
        self.module_queue = Gauge(
            "vending_security_module_queue",
            "Requests that wait for the security module",
            registry=self.registry,
        )
        self.module_duration = Histogram(
            "vending_security_module_duration_seconds",
            "Time of a request to the security module, its waiting included, by how it ended",
            ["outcome"],
            buckets=_VEND_BUCKETS_S,
            registry=self.registry,
        )

    def render(self) -> bytes:
        """Return the exposition text."""
        return generate_latest(self.registry)
