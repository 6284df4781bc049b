"""The idempotency keys that this process works on right now.

The database alone makes a sale happen once. This only spares a repeat that arrives meanwhile the
wait: it is told at once that the first is in flight.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from vending.sales.errors import SaleInFlightError
from vending.values.identifiers import IdempotencyKey, PartnerId


class InFlightKeys:
    """A set of keys, safe between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._keys: set[tuple[PartnerId, IdempotencyKey]] = set()

    @contextmanager
    def hold(self, partner_id: PartnerId, key: IdempotencyKey) -> Iterator[None]:
        """Hold the key for the body.

        Raises:
            SaleInFlightError: Another request holds it.
        """
        pair = (partner_id, key)
        with self._lock:
            if pair in self._keys:
                raise SaleInFlightError
            self._keys.add(pair)
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(pair)

    def require_free(self, partner_id: PartnerId, key: IdempotencyKey) -> None:
        """Check that no request holds the key.

        Raises:
            SaleInFlightError: One does.
        """
        with self._lock:
            if (partner_id, key) in self._keys:
                raise SaleInFlightError
