"""Why a backup is not made, not opened or not restored.

VendingError
├── CustodianError               who may open backups
│   ├── CustodianCountError          fewer than two, or more than five
│   ├── CustodianExistsError, CustodianNotFoundError, CustodianNameError
│   ├── CustodianPublicKeyError      no public key, or one that protects nothing
│   ├── CustodianKeyFileError        the private key file cannot be used
│   └── CustodianPassphraseError     the passphrase is not the file's
├── BackupFileError              the file cannot be written or read
├── BackupDamagedError           it was cut, altered, mixed or is no backup
├── BackupLockedError            the keys given are not two of its custodians
├── BackupIncompleteError        the database holds a table this release does not know
├── BackupVerificationError      what was written does not read back as it was read
├── BackupSchemaError            made by a release that this one does not know
├── RestoreTargetError           the installation is not empty
├── RestoreClockError            the clock disagrees with the backup
├── RestoreRefusedError          the database refused a row: nothing was restored
├── RestorationNotFoundError     nothing was ever restored here
└── StatementInvalidError        a partner's statement that cannot be read
"""

from vending.errors import ErrorKind, VendingError


class CustodianError(VendingError):
    """The custodians of backups are not as they must be."""

    kind = ErrorKind.INVALID


class CustodianCountError(CustodianError):
    """Backups take two to five custodians: any two of them open one, none of them alone."""

    kind = ErrorKind.CONFLICT
    code = "custodian_count"
    remedy = "Name custodians with `vending backup custodian add` until there are two to five."

    def __init__(self, count: int, *, count_min: int, count_max: int) -> None:
        super().__init__(
            f"there are {count} custodians of backups, between {count_min} and {count_max} wanted",
            count=count,
            count_min=count_min,
            count_max=count_max,
        )


class CustodianExistsError(CustodianError):
    """A custodian has this name, or this public key."""

    kind = ErrorKind.CONFLICT
    code = "custodian_exists"
    remedy = "Give each custodian a name and a key of their own; `vending backup custodian list`."

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a custodian {name}, or one with this key", name=name)


class CustodianNotFoundError(CustodianError):
    """No custodian of backups has this name."""

    kind = ErrorKind.NOT_FOUND
    code = "custodian_not_found"
    remedy = "See the names with `vending backup custodian list`."

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no custodian {name}", name=name)


class CustodianNameError(CustodianError):
    """The name of a custodian is empty, too long, or holds signs that hide."""

    code = "custodian_name_invalid"
    remedy = "Write 1 to 60 letters, digits, dots, hyphens and underscores."

    def __init__(self) -> None:
        super().__init__("the name of a custodian cannot be used")


class CustodianPublicKeyError(CustodianError):
    """The public key is not one, or one with which nothing is secret."""

    code = "custodian_public_key_invalid"
    remedy = "Copy the public key as `vending backup custodian new` printed it: 64 digits."

    def __init__(self) -> None:
        super().__init__("the public key of the custodian cannot be used")


class CustodianKeyFileError(CustodianError):
    """The private key file of a custodian is missing, damaged, or open to others."""

    code = "custodian_key_file_refused"
    remedy = "Use the file that `vending backup custodian new` made, with mode 0600."

    def __init__(self, path: str, *, problem: str) -> None:
        super().__init__(f"custodian key {path}: {problem}", path=path, problem=problem)


class CustodianPassphraseError(CustodianError):
    """The passphrase does not open the custodian's key file."""

    kind = ErrorKind.FORBIDDEN
    code = "custodian_passphrase_wrong"
    remedy = "Enter the passphrase chosen with this key file; case and spaces count."

    def __init__(self, name: str) -> None:
        super().__init__(f"the passphrase does not open the key of {name}", name=name)


class BackupFileError(VendingError):
    """The backup file, or its folder, cannot be written or read."""

    kind = ErrorKind.UNAVAILABLE
    code = "backup_file"
    remedy = "Give the command a folder it may write, with space in it, or the file's right name."

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(f"{path}: {why}", path=path, why=why)


class BackupDamagedError(VendingError):
    """The backup was cut, altered or mixed with another, or is no backup; nothing is restored."""

    kind = ErrorKind.REFUSED
    code = "backup_damaged"
    remedy = "Take another copy of this backup, or the one before it; this file restores nothing."

    def __init__(self, what: str) -> None:
        super().__init__(f"the backup fails its check: {what}", what=what)


class BackupLockedError(VendingError):
    """The keys given are not two different custodians of this backup."""

    kind = ErrorKind.FORBIDDEN
    code = "backup_locked"
    remedy = "Name the key files of two custodians whom the backup was made for."

    def __init__(self, custodians: str) -> None:
        super().__init__(
            f"the backup opens with the keys of two of: {custodians}", custodians=custodians
        )


class BackupIncompleteError(VendingError):
    """The database holds a table or column that this release would leave out."""

    kind = ErrorKind.CONFLICT
    code = "backup_incomplete"
    remedy = "Back up with the release that the database was migrated by."

    def __init__(self, names: str) -> None:
        super().__init__(f"a backup would leave out: {names}", names=names)


class BackupVerificationError(VendingError):
    """What was written does not read back as it was read from the database."""

    kind = ErrorKind.UNAVAILABLE
    code = "backup_verification_failed"
    remedy = "Look at the disk; then make the backup again, elsewhere. The file was removed."

    def __init__(self, what: str) -> None:
        super().__init__(f"the backup does not read back: {what}", what=what)


class BackupSchemaError(VendingError):
    """The backup was made at a schema that this release does not know."""

    kind = ErrorKind.CONFLICT
    code = "backup_schema_unknown"
    remedy = "Restore with the release that made the backup, or a later one."

    def __init__(self, revision: str) -> None:
        super().__init__(f"the backup is at schema {revision}", revision=revision)


class RestoreTargetError(VendingError):
    """The installation to restore into is not empty."""

    kind = ErrorKind.CONFLICT
    code = "restore_target_not_empty"
    remedy = "Name an empty database and data folder; a restore never overwrites an installation."

    def __init__(self, what: str) -> None:
        super().__init__(f"there are rows already in: {what}", what=what)


class RestoreClockError(VendingError):
    """The clock lies before the backup, or so far past it that a person must have seen it."""

    kind = ErrorKind.CONFLICT
    code = "restore_clock"
    remedy = (
        "Set the clock of this machine. When it is right, say so with --confirm-clock: identifiers "
        "of tokens are raised past it, and cannot be taken back."
    )

    def __init__(self, *, now: str, seen: str) -> None:
        super().__init__(f"the clock says {now}, the last time in it is {seen}", now=now, seen=seen)


class RestoreRefusedError(VendingError):
    """The database refused what the backup holds; nothing was restored."""

    kind = ErrorKind.CONFLICT
    code = "restore_refused"
    remedy = "Report table and reason: the backup is whole, and the rules of its tables refuse it."

    def __init__(self, table: str, reason: str) -> None:
        super().__init__(f"{table}: {reason}", table=table, reason=reason)


class RestorationNotFoundError(VendingError):
    """Nothing was ever restored into this installation."""

    kind = ErrorKind.NOT_FOUND
    code = "restoration_not_found"
    remedy = "Nothing is to be done: an installation that was never restored has no gap."

    def __init__(self) -> None:
        super().__init__("nothing was restored here")


class StatementInvalidError(VendingError):
    """A statement of a partner has not the columns it must have."""

    kind = ErrorKind.INVALID
    code = "statement_invalid"
    remedy = (
        "Write CSV in UTF-8 with a first line that names receipt_number, and idempotency_key, "
        "meter and amount_minor where known."
    )

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(f"{path}: {why}", path=path, why=why)
