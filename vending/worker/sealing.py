"""Jobs that seal the audit log; they run in a thread of their own.

job          what it does                                              bound
audit seal   makes the chain longer by what waits                      BATCH_MAX of sealing
audit heads  writes signed heads to files outside the database         EXPORT_MAX of heads
audit lag    tells `/metrics` how long the oldest act has waited       one query
"""

from vending.audit.errors import AuditError, AuditKeyMissingError
from vending.audit.rules import PublicKey
from vending.audit.service.heads import export_heads, last_exported
from vending.audit.service.keys import load_keys
from vending.audit.service.sealing import SEAL_INTERVAL_S, lag, seal_waiting
from vending.bootstrap import Container
from vending.keystore.sealing import Purpose, Sealer
from vending.worker.jobs import Job


def make_sealing_jobs(container: Container) -> tuple[Job, ...]:
    """Return the jobs in their order: what was just sealed is exported in the same round."""
    return (
        Job("audit seal", SEAL_INTERVAL_S, lambda _: seal(container)),
        Job("audit heads", SEAL_INTERVAL_S, lambda _: export(container)),
        Job("audit lag", SEAL_INTERVAL_S, lambda _: tell_lag(container)),
    )


def seal(container: Container) -> int:
    """Seal a batch; return how many events were taken out of the queue."""
    return seal_waiting(
        container.database,
        _sealer_of(container),
        clock=container.clock,
        exported_position=_exported_position(container),
    )


def export(container: Container) -> int:
    """Export the heads that are in the database alone; return how many there were.

    Raises:
        AuditError: The folder cannot be written, or a head is not ours.
    """
    public_key = _find_public_key(container)
    if public_key is None:
        return 0
    folder = container.settings.effective_audit_heads_dir
    return export_heads(container.database, folder, public_key=public_key)


def tell_lag(container: Container) -> int:
    """Set the gauge."""
    with container.database.read() as connection:
        waited = lag(connection, container.clock.now())
    container.metrics.audit_seal_lag.set(max(0.0, waited.total_seconds()))
    return 0


def _exported_position(container: Container) -> int:
    """Return the position of the newest exported head; 0: there is none, or none can be read.

    Sealing goes on in any case; the export says what is wrong with the files.
    """
    public_key = _find_public_key(container)
    if public_key is None:
        return 0
    try:
        folder = container.settings.effective_audit_heads_dir
        newest = last_exported(folder, public_key=public_key)
    except AuditError:
        return 0
    return 0 if newest is None else newest.position


def _find_public_key(container: Container) -> PublicKey | None:
    """Return the public key of the chain; None: nothing was sealed yet."""
    with container.database.read() as connection:
        try:
            return load_keys(connection, _sealer_of(container)).public_key
        except AuditKeyMissingError:
            return None  # where a chain has lost its key, sealing says so


def _sealer_of(container: Container) -> Sealer:
    return container.store.sealer(Purpose.AUDIT_KEYS)
