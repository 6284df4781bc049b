"""What the key store and a security module refuse, and why.

VendingError
├── KeyStoreError              the store as a whole
│   ├── KeyStoreMissingError       there is none yet
│   ├── KeyStoreExistsError        there is one already
│   ├── KeyStoreCorruptError       damaged, tampered with, or rolled back
│   ├── GenerationUnknownError     nothing to tell its age by
│   ├── GenerationFileError        its companion file cannot be read or written
│   └── RootCountError             no room for another root key
├── UnlockError                its passphrase or key file
│   ├── WrongPassphraseError, WrongKeyFileError, UnlockKindError
│   └── WeakPassphraseError, KeyFileError
├── SealBrokenError            a sealed value that does not open
├── KeyImportError             a key that is not taken in
│   ├── InvalidComponentError, CheckValueError, ComponentCountError
│   └── WeakKeyError, KeyExistsError
├── KeyRefusedError            a key that does not serve the request
│   ├── KeyNotFoundError, KeyRetiredError, KeyExpiredError
│   └── DemoKeyRefusedError
├── TokenRequestError          a request that no key can serve
│   ├── MeterConfigurationError, TokenKindError, TokenValueError
│   └── TokenFormatError, KeyChangeError
└── ModuleError                a security module outside this process
    ├── ModuleUnavailableError     did not take the request
    └── ModuleAnswerLostError      took it perhaps: outcome unknown
"""

from enum import StrEnum
from typing import ClassVar

from vending.errors import ErrorKind, Outcome, VendingError


class Damage(StrEnum):
    """What part of a key store failed its check."""

    HEADER = "header"
    MANIFEST = "manifest"
    RECORD = "record"
    ROLLED_BACK = "rolled_back"
    GENERATION_FILE = "generation_file"


# --- the store ---------------------------------------------------------------------------------
class KeyStoreError(VendingError):
    """The key store as a whole cannot be used."""


class KeyStoreMissingError(KeyStoreError):
    """No key store was made in this database."""

    kind = ErrorKind.UNAVAILABLE
    code = "key_store_missing"
    remedy = "Make the key store once with `vending keys create`."

    def __init__(self) -> None:
        super().__init__("this database holds no key store")


class KeyStoreExistsError(KeyStoreError):
    """A key store was made before; a second one would orphan its keys."""

    kind = ErrorKind.CONFLICT
    code = "key_store_exists"
    remedy = "Open the present key store; nothing needs to be made."

    def __init__(self) -> None:
        super().__init__("this database already holds a key store")


class KeyStoreCorruptError(KeyStoreError):
    """The store was damaged, tampered with or rolled back; no token is made from it."""

    kind = ErrorKind.UNAVAILABLE
    code = "key_store_corrupt"
    remedy = (
        "Stop vending, keep the files as they are, and restore the newest backup of database and "
        "data folder together; `vending keys check` says what failed."
    )

    def __init__(self, damage: Damage, *, register: str | None = None) -> None:
        # What failed is for the operator at this machine, not for a caller: no facts.
        self.damage = damage
        self.register = register
        super().__init__("the key store fails its check")


class GenerationUnknownError(KeyStoreError):
    """The generation file is missing, so an old copy of the store could not be told."""

    kind = ErrorKind.UNAVAILABLE
    code = "key_store_generation_unknown"
    remedy = (
        "Restore `keystore.generation` to the data folder; on a new machine, or after restoring "
        "a backup on purpose, accept the store as it is with `vending keys adopt`."
    )

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__("the generation file of the key store is missing")


class GenerationFileError(KeyStoreError):
    """The data folder does not let the generation file be read or written.

    A change of the store was committed before its generation is written: it stands.
    """

    kind = ErrorKind.UNAVAILABLE
    code = "key_store_generation_file"
    remedy = (
        "Give the service its data folder, with space in it, and open the key store again; a "
        "change that ended here is stored, and need not be repeated."
    )

    def __init__(self, path: str, *, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__("the generation file of the key store cannot be read or written")


class RootCountError(KeyStoreError):
    """The store was rotated as often as its envelope has room for."""

    kind = ErrorKind.REFUSED
    code = "key_store_root_count"
    remedy = "Make a new key store, and bring the keys in again by ceremonies."

    def __init__(self, count_max: int) -> None:
        super().__init__(f"the key store holds {count_max} root keys", count_max=count_max)


# --- unlocking ---------------------------------------------------------------------------------
class UnlockError(VendingError):
    """The passphrase or key file does not open the store."""

    kind = ErrorKind.FORBIDDEN


class WrongPassphraseError(UnlockError):
    """The passphrase is not the one the store was sealed with; the store itself is whole."""

    code = "wrong_passphrase"
    remedy = "Enter the passphrase of this key store; case and spaces count."

    def __init__(self) -> None:
        super().__init__("the passphrase does not open this key store")


class WrongKeyFileError(UnlockError):
    """The key file is not the one the store was sealed with; the store itself is whole."""

    code = "wrong_key_file"
    remedy = "Point to the key file that was made with this key store."

    def __init__(self) -> None:
        super().__init__("the key file does not open this key store")


class UnlockKindError(UnlockError):
    """A passphrase was given where the store wants a key file, or the other way round."""

    code = "wrong_unlock_kind"
    remedy = "Open the store the way it was made: with its passphrase or with its key file."

    def __init__(self, wanted: str) -> None:
        super().__init__(f"this key store opens with a {wanted}", wanted=wanted)


class WeakPassphraseError(UnlockError):
    """The passphrase is too short to protect keys, or no text."""

    kind = ErrorKind.INVALID
    code = "weak_passphrase"
    remedy = "Choose a longer passphrase: five random words do."

    def __init__(self, length_min: int) -> None:
        super().__init__(
            f"a passphrase is text of at least {length_min} characters", length_min=length_min
        )


class KeyFileError(UnlockError):
    """The key file is missing, readable by others, or not 32 bytes long."""

    code = "key_file_refused"
    remedy = "Use the file made with the key store, owned by the service and with mode 0600."

    def __init__(self, path: str, *, problem: str) -> None:
        super().__init__(f"key file {path}: {problem}", path=path, problem=problem)


class SealBrokenError(VendingError):
    """A sealed value was altered, cut, moved to another record, or sealed by another store."""

    kind = ErrorKind.UNAVAILABLE
    code = "seal_broken"
    remedy = "Restore the record from a backup; it was changed outside this program."

    def __init__(self, purpose: str) -> None:
        super().__init__(f"a sealed value does not open: {purpose}", purpose=purpose)


# --- import ------------------------------------------------------------------------------------
class KeyImportError(VendingError):
    """The key is not taken into the store."""

    kind = ErrorKind.INVALID


class ComponentFault(StrEnum):
    """What is wrong with a component as typed; the value is how it is said."""

    NOT_HEXADECIMAL = "it is not written in hexadecimal digits"
    LENGTH = "it has another length than its key derivation wants"
    CHECK_VALUE_FORM = "a key check value is 6 hexadecimal digits"


class InvalidComponentError(KeyImportError):
    """A component is not hexadecimal, or not as long as its key derivation wants."""

    code = "key_component_invalid"
    remedy = "Enter 16 hexadecimal digits for DKGA02, or 40 for DKGA04, as the form prints them."

    def __init__(self, fault: ComponentFault, *, component: int | None = None) -> None:
        where = f"component {component}: " if component is not None else ""
        super().__init__(f"{where}{fault}", fault=fault.name.lower(), component=component)


class CheckValueError(KeyImportError):
    """A key check value does not agree with what was entered."""

    code = "key_check_value_wrong"
    remedy = "Enter the component again, comparing each group of four digits with the form."

    def __init__(self, *, component: int | None) -> None:
        what = "the combined key" if component is None else f"component {component}"
        super().__init__(f"the key check value of {what} does not agree", component=component)


class ComponentCountError(KeyImportError):
    """Too few components to divide the key between people, or more than any ceremony uses."""

    code = "key_component_count"
    remedy = "Enter the key in two or more components, each by the custodian who holds it."

    def __init__(self, count: int, *, count_min: int, count_max: int) -> None:
        super().__init__(
            f"{count} components given, between {count_min} and {count_max} wanted",
            count=count,
            count_min=count_min,
            count_max=count_max,
        )


class Weakness(StrEnum):
    """Why a key protects nothing; the value is how it is said."""

    ZERO_COMPONENT = "a component is zero"
    CANCELLED = "the components cancel out"
    ONE_COMPONENT = "one component alone is the whole key"
    WEAK_FOR_DES = "it is one of the weak keys of DES"


class WeakKeyError(KeyImportError):
    """The components cancel out, or the key is one that any attacker tries first."""

    code = "key_weak"
    remedy = "Ask the key management centre for other components."

    def __init__(self, weakness: Weakness) -> None:
        super().__init__(f"the key is refused: {weakness}", weakness=weakness.name.lower())


class KeyExistsError(KeyImportError):
    """The store holds a key under this supply group, revision and type."""

    kind = ErrorKind.CONFLICT
    code = "key_exists"
    remedy = "Check supply group code, key revision and key type; a new key has a new revision."

    def __init__(self, register: str) -> None:
        super().__init__(f"key {register} is in the store already", register=register)


# --- use ---------------------------------------------------------------------------------------
class KeyRefusedError(VendingError):
    """The key named by the request does not serve it."""

    kind = ErrorKind.REFUSED


class KeyNotFoundError(KeyRefusedError):
    """The store holds no key under this supply group, revision and type."""

    kind = ErrorKind.NOT_FOUND
    code = "key_not_found"
    remedy = "Import the vending key of this supply group, or correct the meter's supply group."

    def __init__(self, register: str) -> None:
        super().__init__(f"no vending key {register}", register=register)


class KeyRetiredError(KeyRefusedError):
    """The key was retired: it decodes and is changed away from, and issues nothing."""

    code = "key_retired"
    remedy = "Change the meter's key to the present revision and sell under that one."

    def __init__(self, register: str) -> None:
        super().__init__(f"vending key {register} is retired", register=register)


class KeyExpiredError(KeyRefusedError):
    """The token identifier lies past the key expiry number (IEC 62055-41, KEN)."""

    code = "key_expired"
    remedy = "Obtain the next key revision and change the meters' keys to it."

    def __init__(self, register: str, *, ken: int) -> None:
        super().__init__(
            f"vending key {register} has expired: key expiry number {ken}",
            register=register,
            ken=ken,
        )


class DemoKeyRefusedError(KeyRefusedError):
    """The key is a demonstration key, and this service was not started for demonstration."""

    code = "demo_key_refused"
    remedy = "Import the real key of this supply group, or start the demonstration."

    def __init__(self, register: str) -> None:
        super().__init__(f"vending key {register} is for demonstration only", register=register)


class TokenRequestError(VendingError):
    """No key could serve this request."""

    kind = ErrorKind.REFUSED


class Misfit(StrEnum):
    """Which two settings do not go together; the value is how it is said."""

    BASE_DATE = "the base date of the token identifier is not the key's"
    DEFAULT_KEY = "a meter on a default key (DDTK) takes no credit"


class MeterConfigurationError(TokenRequestError):
    """The meter's STS settings contradict each other or the key."""

    code = "meter_configuration"
    remedy = "Compare supply group, key revision, algorithm and base date with the meter's label."

    def __init__(self, reason: str, *, sts_code: str | None = None) -> None:
        super().__init__(f"the meter's STS settings do not fit: {reason}", sts_code=sts_code)


class TokenKindError(TokenRequestError):
    """The token asked for is not one that this operation issues."""

    code = "token_kind_refused"
    remedy = "Sell credit by a sale and change keys by a key change; only the rest is managed here."

    def __init__(self, token: str) -> None:
        super().__init__(f"{token} is not issued as a management token", token=token)


class TokenValueError(TokenRequestError):
    """A value does not fit the token's field."""

    kind = ErrorKind.INVALID
    code = "token_value_refused"
    remedy = "Give a value inside the range that the message names."

    def __init__(self, reason: str, *, sts_code: str) -> None:
        super().__init__(reason, sts_code=sts_code)


class KeyChangeError(TokenRequestError):
    """The standard does not allow this change of key."""

    code = "key_change_refused"
    remedy = "Choose a new key of an allowed type and of the meter's own algorithm."

    def __init__(self, reason: str, *, sts_code: str) -> None:
        super().__init__(reason, sts_code=sts_code)


class ModuleError(VendingError):
    """A security module outside this process did not answer as wanted."""

    retryable: ClassVar[bool] = True


class ModuleUnavailableError(ModuleError):
    """The module did not take the request; nothing was issued."""

    kind = ErrorKind.UNAVAILABLE
    code = "security_module_unavailable"
    remedy = "Check the security module's line and power; the same request may be repeated."

    def __init__(self) -> None:
        super().__init__("the security module cannot be reached")


class ModuleAnswerLostError(ModuleError):
    """The module may have issued the token; the same request repeated gives the same digits."""

    kind = ErrorKind.UNAVAILABLE
    code = "security_module_answer_lost"
    outcome = Outcome.UNKNOWN
    remedy = "Repeat the request with the same token identifier; never with a new one."

    def __init__(self) -> None:
        super().__init__("the security module's answer was lost")
