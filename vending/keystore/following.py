"""Keeps the open key store of a running process at its newest generation.

Keys are imported and retired by the command line, in a process of its own. The service and the
worker look every few seconds for what others changed, and go on with the keys they have while
the store cannot be read: those were verified when they were opened.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from vending.errors import VendingError
from vending.keystore.service import reload_store
from vending.keystore.store import OpenKeyStore
from vending.observability.logs import get_logger
from vending.persistence.engine import Database

FOLLOW_INTERVAL_S: Final = 2
NOT_FOLLOWED: Final = "key_store_not_followed"
_log = get_logger(__name__)


class KeyStoreFollower:
    """The store as it was last seen whole, and what hinders seeing it now."""

    def __init__(
        self, database: Database, store: OpenKeyStore, *, use: Callable[[OpenKeyStore], None]
    ) -> None:
        self._database = database
        self._use = use
        self._store = store
        self._problem: str | None = None

    @property
    def store(self) -> OpenKeyStore:
        """Return the newest generation that was seen whole."""
        return self._store

    @property
    def problem(self) -> str | None:
        """Return the code of what hinders following; None: nothing does."""
        return self._problem

    def follow(self) -> None:
        """Take over what other processes changed; note and log what hinders it, once."""
        try:
            present = reload_store(self._database, self._store)
        except VendingError as error:
            if error.code != self._problem:
                _log.warning("key_store_not_reloaded", code=error.code, reason=str(error))
            self._problem = error.code
            return
        self._problem = None
        if present.generation != self._store.generation:
            self._use(present)
            self._store = present
            _log.info("key_store_reloaded", generation=present.generation.number)

    @contextmanager
    def following(self, interval_s: float = FOLLOW_INTERVAL_S) -> Iterator[None]:
        """Follow in a thread of its own as long as the block lasts."""
        stop = threading.Event()
        thread = threading.Thread(
            target=self._run, args=(stop, interval_s), name="key-store", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _run(self, stop: threading.Event, interval_s: float) -> None:
        try:
            while not stop.wait(interval_s):
                self.follow()
        finally:
            if not stop.is_set():
                self._problem = NOT_FOLLOWED
