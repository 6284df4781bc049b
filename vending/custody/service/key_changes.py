"""Changes of keys that take two people: retirement, another passphrase, a fresh root key."""

from dataclasses import dataclass

from sqlalchemy import Connection

from vending.approvals.model import Act, Approval, UseCase
from vending.approvals.service import redeem, request_approval
from vending.keystore import service as key_store
from vending.keystore.model import KeyReference
from vending.keystore.service import KEY_STORE, Within
from vending.keystore.store import OpenKeyStore
from vending.keystore.unlocking import RECOMMENDED_COST, Argon2Cost, KeyFile, Unlock
from vending.operators.model import SignedIn
from vending.operators.permissions import Permission
from vending.persistence.engine import Database
from vending.values.clock import Clock
from vending.values.identifiers import ApprovalId


@dataclass(frozen=True, slots=True, eq=False)
class KeyDesk:
    """What keys are changed with."""

    database: Database
    store: OpenKeyStore
    clock: Clock
    cost: Argon2Cost = RECOMMENDED_COST
    """Of a new passphrase."""


def propose_retirement(
    by: SignedIn, register: KeyReference, desk: KeyDesk, *, reason: str
) -> Approval:
    """Ask for a key to issue nothing from now on.

    Raises:
        PermissionDeniedError: The operator may not ask for it.
        KeyNotFoundError: The store has no such key.
        ApprovalContentError: The reason cannot be shown.
    """
    return _ask(by, _retirement_of(register, desk), desk, reason=reason)


def retire(
    by: SignedIn, register: KeyReference, approval_id: ApprovalId, desk: KeyDesk
) -> OpenKeyStore:
    """Let a key issue nothing from now on; one that is retired stays so, and uses up nothing.

    Raises:
        VendingError: The approval does not hold for this, see `vending.approvals`; or the key
            store cannot be changed, see `vending.keystore.service.retire_key`.
        KeyNotFoundError: The store has no such key.
    """
    act = _retirement_of(register, desk)
    return key_store.retire_key(
        desk.database,
        desk.store,
        register,
        by=by.actor,
        clock=desk.clock,
        within=_using_up(by, approval_id, act, desk),
    )


def propose_unlock(by: SignedIn, unlock: Unlock, desk: KeyDesk, *, reason: str) -> Approval:
    """Ask for exactly this passphrase or key file to open the store from now on.

    Raises:
        PermissionDeniedError: The operator may not ask for it.
        KeyFileError: The key file cannot be used.
        ApprovalContentError: The reason cannot be shown.
    """
    by.require(Permission.KEYS_WRITE)
    return _ask(by, _unlock_of(unlock, desk.store, desk.cost), desk, reason=reason)


def change_unlock(
    by: SignedIn, unlock: Unlock, approval_id: ApprovalId, desk: KeyDesk
) -> OpenKeyStore:
    """Give the store the passphrase or key file that was approved, and no other.

    Raises:
        PermissionDeniedError: The operator may not change keys.
        KeyFileError: The key file cannot be used.
        VendingError: The approval does not hold for this, see `vending.approvals`; or the key
            store cannot be changed, see `vending.keystore.service.change_unlock`.
    """
    by.require(Permission.KEYS_WRITE)
    held = unlock.held() if isinstance(unlock, KeyFile) else unlock

    def use_up(connection: Connection, present: OpenKeyStore) -> None:
        act = _unlock_of(held, present, desk.cost)
        redeem(connection, by, approval_id, act, clock=desk.clock)

    return key_store.change_unlock(
        desk.database,
        desk.store,
        held,
        by=by.actor,
        clock=desk.clock,
        allowing=use_up,
        cost=desk.cost,
    )


def propose_rotation(by: SignedIn, desk: KeyDesk, *, reason: str) -> Approval:
    """Ask for a fresh root key of the store.

    Raises:
        PermissionDeniedError: The operator may not ask for it.
        ApprovalContentError: The reason cannot be shown.
    """
    return _ask(by, _rotation_of(desk), desk, reason=reason)


def prepare_rotation(by: SignedIn, approval_id: ApprovalId, desk: KeyDesk) -> OpenKeyStore:
    """Bring a fresh root key under an approval; nothing is sealed under it yet.

    Raises:
        VendingError: The approval does not hold for this, see `vending.approvals`; or the key
            store cannot be changed, see `vending.keystore.service.prepare_root`.
    """
    return key_store.prepare_root(
        desk.database,
        desk.store,
        by=by.actor,
        clock=desk.clock,
        within=_using_up(by, approval_id, _rotation_of(desk), desk),
    )


def finish_rotation(by: SignedIn, desk: KeyDesk) -> OpenKeyStore:
    """Seal under the root key that was prepared; its approval was used up when it was.

    Raises:
        PermissionDeniedError: The operator may not change keys.
        VendingError: The key store cannot be changed, see
            `vending.keystore.service.activate_root`.
    """
    by.require(Permission.KEYS_WRITE)
    return key_store.activate_root(desk.database, desk.store, by=by.actor, clock=desk.clock)


def _ask(by: SignedIn, act: Act, desk: KeyDesk, *, reason: str) -> Approval:
    with desk.database.unit_of_work() as uow:
        asked = request_approval(uow.connection, by, act, reason=reason, clock=desk.clock)
        uow.commit()
    return asked


def _using_up(by: SignedIn, approval_id: ApprovalId, act: Act, desk: KeyDesk) -> Within:
    def use_up(connection: Connection) -> None:
        redeem(connection, by, approval_id, act, clock=desk.clock)

    return use_up


def _retirement_of(register: KeyReference, desk: KeyDesk) -> Act:
    shown = desk.store.describe(register)
    payload = {"change": "retire", "check_value": shown.check_value}
    return Act(UseCase.KEY_CHANGE, f"key:{register}", payload)


def _unlock_of(unlock: Unlock, store: OpenKeyStore, cost: Argon2Cost) -> Act:
    kind, digest = store.describe_change_to(unlock, cost)
    payload = {"change": "unlock", "root": store.active_root, "opens_with": kind, "digest": digest}
    return Act(UseCase.KEY_CHANGE, KEY_STORE, payload)


def _rotation_of(desk: KeyDesk) -> Act:
    payload = {"change": "root", "root": desk.store.active_root + 1}
    return Act(UseCase.KEY_CHANGE, KEY_STORE, payload)
