"""What the audit chain refuses, and why.

VendingError
└── AuditError
    ├── AuditKeyMissingError     there is no key: nothing was sealed yet, or it was deleted
    ├── AuditKeyAlteredError     the sealed key does not open
    ├── HeadsFileError           an exported file cannot be read or written
    ├── HeadInvalidError         a head that does not bear the signature
    ├── PublicKeyInvalidError    what was given is no public key
    ├── AuditUnreadableError     the database does not answer the questions of `verify`
    └── NoGapError               nothing is missing, so there is no gap to declare
"""

from typing import ClassVar

from vending.errors import ErrorKind, VendingError


class AuditError(VendingError):
    """The audit chain cannot be used."""


class AuditKeyMissingError(AuditError):
    """The database holds no key: nothing was sealed yet, or somebody deleted it."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "audit_key_missing"
    remedy: ClassVar[str] = (
        "Run `vending worker`, which makes it with the first event it seals. Where events were "
        "sealed before, somebody deleted the row of audit_keys: keep a copy of the database, and "
        "put the row back from the last backup that verifies."
    )

    def __init__(self) -> None:
        super().__init__("the database holds no key of the audit chain")


class AuditKeyAlteredError(AuditError):
    """The stored key of the chain was altered, or belongs to another key store."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "audit_key_altered"
    remedy: ClassVar[str] = (
        "The row of audit_keys was changed behind the service's back, or comes from another "
        "installation: put it back from the last backup that verifies."
    )

    def __init__(self) -> None:
        super().__init__("the sealed key of the audit chain does not open")


class HeadsFileError(AuditError):
    """A file of exported heads cannot be read or written."""

    kind: ClassVar[ErrorKind] = ErrorKind.UNAVAILABLE
    code: ClassVar[str] = "audit_heads_file"
    remedy: ClassVar[str] = "Make the file or folder readable and writable for the service's user."

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(f"{path}: {why}", path=path, why=why)


class HeadInvalidError(AuditError):
    """An exported head is malformed, or does not bear the signature of this installation."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "audit_head_invalid"
    remedy: ClassVar[str] = (
        "Take the head from a file that was shipped to another machine, and compare the public "
        "keys: `vending audit public-key`."
    )

    def __init__(self, where: str, *, why: str) -> None:
        super().__init__(f"{where}: {why}", where=where, why=why)


class PublicKeyInvalidError(AuditError):
    """What was given is no Ed25519 public key."""

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    code: ClassVar[str] = "audit_public_key_invalid"
    remedy: ClassVar[str] = "Give the 64 hexadecimal digits that `vending audit public-key` prints."

    def __init__(self) -> None:
        super().__init__("a public key of Ed25519 has 64 hexadecimal digits")


class AuditUnreadableError(AuditError):
    """The database does not answer the questions of `verify`."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "audit_unreadable"
    remedy: ClassVar[str] = (
        "A table was removed or made anew, or a setting of the database was changed: keep a copy "
        "of the database as evidence, and compare its schema with the last backup that verifies."
    )

    def __init__(self, why: str) -> None:
        super().__init__(f"the tables of the audit log cannot be read ({why})", why=why)


class NoGapError(AuditError):
    """The chain reaches the exported head, so nothing is missing."""

    kind: ClassVar[ErrorKind] = ErrorKind.CONFLICT
    code: ClassVar[str] = "audit_no_gap"
    remedy: ClassVar[str] = "Nothing needs to be declared; run `vending audit verify`."

    def __init__(self, position: int) -> None:
        super().__init__(
            f"the chain holds the exported head at position {position}", position=position
        )
