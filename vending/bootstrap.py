"""The composition root: from settings to everything a process works with."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import ClassVar, Final
from urllib.parse import urlsplit

from vending.campaigns.service.deliveries import (
    find_sections_before,
    hand_out_with_order,
    with_key_in_use,
)
from vending.campaigns.service.office import CampaignOffice
from vending.custody.model import ForecastLimits
from vending.errors import ErrorKind, VendingError
from vending.keystore.choosing import choose_module, keep_where_chosen, token_of
from vending.keystore.following import KeyStoreFollower
from vending.keystore.port import SecurityModule
from vending.keystore.sealing import Purpose
from vending.keystore.service import open_store
from vending.keystore.store import OpenKeyStore
from vending.keystore.unlocking import KeyFile, Passphrase, TokenUnlock, Unlock
from vending.observability.metrics import Metrics
from vending.operators.openid import OpenIDClient, OpenIDProvider, is_safe_url
from vending.operators.passkeys import PasskeySite
from vending.operators.passwords import Passwords
from vending.operators.service.desk import SignInDesk
from vending.persistence import migrate
from vending.persistence.engine import Database, create_database
from vending.sales.receipt import Letterhead
from vending.sales.rules import ClockLimits
from vending.sales.service.clock_guard import ClockGuard
from vending.sales.service.desk import SaleLimits, SalesDesk
from vending.settings import Settings, SettingsError
from vending.tokens.service.desk import KeyChanges, OrderLimits, TokenDesk
from vending.values.clock import Clock, SystemClock

RND_BITS: Final = 4
OPENID_RETURN_PATH: Final = "/openid"
"""Of the page to which the OpenID provider sends a browser back."""


class KeyStoreSecretMissingError(VendingError):
    """Nothing was set that opens the key store."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "key_store_secret_missing"
    remedy: ClassVar[str] = (
        "Set VENDING_KEY_STORE_PASSPHRASE_FILE to a file with the passphrase, "
        "or VENDING_KEY_STORE_KEY_FILE to the key file."
    )

    def __init__(self) -> None:
        super().__init__("neither a passphrase nor a key file of the key store is set")


@dataclass(frozen=True, slots=True, eq=False)
class Container:
    """What one process works with; close it at the end."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    key_store: KeyStoreFollower
    security_module: SecurityModule
    desk: SalesDesk
    close_module: Callable[[], None] = field(default=lambda: None, kw_only=True)
    sign_in_desk: SignInDesk

    @property
    def token_desk(self) -> TokenDesk:
        """Return what tokens outside a sale are made with: the keys and limits of sales."""
        desk = self.desk
        return TokenDesk(
            database=desk.database,
            clock=desk.clock,
            require_trusted=desk.clock_guard.require_trusted,
            security_module=desk.security_module,
            token_sealer=desk.token_sealer,
            limits=OrderLimits(
                tid_ahead_limit_min=desk.limits.tid_ahead_limit_min,
            ),
            draw_rnd=desk.draw_rnd,
            key_changes=KeyChanges(
                find_key_in_use=with_key_in_use,
                hand_out=partial(hand_out_with_order, sealer=desk.token_sealer, clock=desk.clock),
                find_before=partial(find_sections_before, sealer=desk.token_sealer),
            ),
        )

    @property
    def campaign_office(self) -> CampaignOffice:
        """Return what key-change campaigns are run with: the keys and limits of sales."""
        return CampaignOffice(
            database=self.database,
            clock=self.clock,
            security_module=self.desk.security_module,
            sealer=self.desk.token_sealer,
        )

    @property
    def store(self) -> OpenKeyStore:
        """Return the key store as it was last seen whole."""
        return self.key_store.store

    @property
    def has_keys(self) -> bool:
        """Return whether there is a key to issue under; an attached module holds its own."""
        return self.settings.security_module == "attached" or bool(self.store.list_keys())

    def close(self) -> None:
        """Give every connection back."""
        self.close_module()
        if self.sign_in_desk.openid is not None:
            self.sign_in_desk.openid.close()
        self.database.close()


class NotInitialisedError(VendingError):
    """The data folder holds no installation yet."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "not_initialised"
    remedy: ClassVar[str] = (
        "Run `vending init`, or name the folder of your installation with VENDING_DATA_DIR "
        "or --data."
    )

    def __init__(self, folder: str) -> None:
        super().__init__(f"there is no installation in {folder}", folder=folder)


def open_database(settings: Settings) -> Database:
    """Return the database of the settings, seen to be durable; makes none.

    Raises:
        NotInitialisedError: The database of the data folder was not made yet.
        DatabaseUrlError: The URL names no file and no PostgreSQL server.
        UnsafeDatabaseError: A setting of the database may lose or corrupt committed rows.
        DatabaseUnavailableError: It cannot be reached.
    """
    own = settings.own_database_file
    if own is not None and not own.is_file():
        raise NotInitialisedError(str(settings.data_dir.absolute()))
    return create_database(settings.effective_database_url)


def unlock_of(settings: Settings) -> Unlock:
    """Return what opens the key store: what is set, else the key file that `init` made.

    With neither, the PKCS#11 token does where one is chosen.

    Raises:
        KeyStoreSecretMissingError: Neither of the two settings is given.
        WeakPassphraseError: The passphrase is too short to be one.
        ModuleSettingError: The settings of the token are not complete.
    """
    if settings.key_store_key_file is not None:
        return KeyFile(settings.key_store_key_file)
    if settings.key_store_passphrase is not None:
        return Passphrase(settings.key_store_passphrase.get_secret_value())
    if settings.own_key_file.is_file():
        return KeyFile(settings.own_key_file)
    if settings.security_module == "pkcs11":
        return TokenUnlock(token_of(settings))
    raise KeyStoreSecretMissingError


def build_container(settings: Settings, *, clock: Clock | None = None) -> Container:
    """Return everything, put together for the settings.

    Raises:
        VendingError: The database, its schema or the key store cannot be used; the error says
            which and what to do.
    """
    clock = clock or SystemClock()
    metrics = Metrics()
    database = open_database(settings)
    try:
        migrate.require_head(database)
        opened = open_store(database, unlock_of(settings), data_folder=settings.data_dir)
        store = keep_where_chosen(settings, opened)
        chosen = choose_module(settings, store, clock=clock, metrics=metrics)
    except BaseException:
        database.close()
        raise
    key_store = KeyStoreFollower(database, store, use=chosen.use)
    return Container(
        settings=settings,
        clock=clock,
        metrics=metrics,
        database=database,
        key_store=key_store,
        security_module=chosen.module,
        desk=_build_desk(settings, clock, database, store, chosen.module),
        close_module=chosen.close,
        sign_in_desk=build_sign_in_desk(settings, database, key_store, clock=clock),
    )


def build_sign_in_desk(
    settings: Settings,
    database: Database,
    key_store: KeyStoreFollower,
    *,
    clock: Clock,
    passwords: Passwords | None = None,
) -> SignInDesk:
    """Return what operators sign in with.

    Raises:
        SettingsError: The address of the office or the OpenID provider is not set as it must be.
    """
    return SignInDesk(
        database=database,
        clock=clock,
        passwords=passwords or Passwords(),
        sealer=lambda: key_store.store.sealer(Purpose.OPERATOR_SECRETS),
        issuer=settings.utility_name,
        passkey_site=_passkey_site(settings),
        openid=_openid_client(settings, clock),
    )


def _passkey_site(settings: Settings) -> PasskeySite | None:
    origin = settings.office_origin
    if origin is None:
        return None
    parts = urlsplit(origin)
    if not is_safe_url(origin) or f"{parts.scheme}://{parts.netloc}" != origin:
        message = f"office_origin: {origin!r} is no address such as https://office.example.org"
        raise SettingsError(message, setting="office_origin")
    host = parts.hostname or ""
    rp_id = settings.office_rp_id or host
    if host != rp_id and not host.endswith(f".{rp_id}"):
        message = f"office_rp_id: {rp_id!r} is neither the host of office_origin nor its parent"
        raise SettingsError(message, setting="office_rp_id")
    return PasskeySite(rp_id=rp_id, origin=origin, name=settings.utility_name)


def _openid_client(settings: Settings, clock: Clock) -> OpenIDClient | None:
    issuer = settings.openid_issuer
    if issuer is None:
        return None
    client_id, secret = settings.openid_client_id, settings.openid_client_secret
    origin = settings.office_origin
    if client_id is None or secret is None or origin is None or not is_safe_url(issuer):
        message = (
            "openid_issuer: it has to be an https address, and openid_client_id, "
            "openid_client_secret and office_origin have to be set with it"
        )
        raise SettingsError(message, setting="openid_issuer")
    amr, acr = _listed(settings.openid_amr), _listed(settings.openid_acr)
    if not amr | acr:
        message = "openid_amr: without it and openid_acr, one factor at the provider would do"
        raise SettingsError(message, setting="openid_amr")
    provider = OpenIDProvider(
        issuer=issuer,
        client_id=client_id,
        client_secret=secret.get_secret_value(),
        redirect_uri=f"{origin}{OPENID_RETURN_PATH}",
        accepted_amr=amr,
        accepted_acr=acr,
    )
    return OpenIDClient(provider, clock)


def _listed(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def _build_desk(
    settings: Settings,
    clock: Clock,
    database: Database,
    store: OpenKeyStore,
    module: SecurityModule,
) -> SalesDesk:
    limits = ClockLimits(settings.clock_backward_limit_s, settings.clock_forward_limit_s)
    return SalesDesk(
        database=database,
        clock=clock,
        clock_guard=ClockGuard(clock, limits),
        security_module=module,
        token_sealer=store.sealer(Purpose.ISSUED_TOKENS),
        answer_sealer=store.sealer(Purpose.STORED_ANSWERS),
        letterhead=Letterhead(settings.utility_name, settings.timezone, settings.language),
        limits=SaleLimits(
            tid_ahead_limit_min=settings.tid_ahead_limit_min,
            quote_lifetime=timedelta(seconds=settings.quote_lifetime_s),
        ),
        draw_rnd=lambda: secrets.randbits(RND_BITS),
    )


def forecast_limits(settings: Settings) -> ForecastLimits:
    """Return from when a key that expires is worth a look, and a hurry."""
    return ForecastLimits(
        soon=timedelta(days=settings.key_expiry_soon_days),
        urgent=timedelta(days=settings.key_expiry_urgent_days),
    )
