"""doctor: what is set, from where, and what is wrong, each with its fix."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Annotated, Final

import typer

from vending.bootstrap import open_database, unlock_of
from vending.cli.access import host
from vending.cli.context import DataOption, read_settings
from vending.cli.listening import PortInUseError, open_listener
from vending.cli.output import FindingsError, JsonOption, Row, print_document, print_note
from vending.commands.model import CommandState
from vending.commands.service import count_unfinished
from vending.errors import ErrorKind, VendingError, canonical_json
from vending.keystore.choosing import attach, token_of
from vending.keystore.errors import ModuleError
from vending.keystore.model import KeyDescription
from vending.keystore.service import open_store
from vending.keystore.token_module import PKCS11SecurityModule
from vending.persistence import migrate
from vending.persistence.engine import Database, durability_report
from vending.persistence.outbox import AGE_MAX_S, age_of_oldest, count_parked
from vending.sales.rules import ClockLimits
from vending.sales.service.clock_guard import ClockGuard, check_clock, confirm_clock
from vending.settings import Settings, list_origins, unknown_variables
from vending.sts import is_key_expired_at
from vending.values.clock import SystemClock

FREE_SPACE_MIN_MB: Final = 500
MODE_TOO_OPEN: Final = stat.S_IRWXO | stat.S_IWGRP
"""A group may look into the folder, as the one of a backup does; the key file has its own check."""
EXPIRY_WARNING_DAYS: Final = 90
PROBE_TIMEOUT_S: Final = 2


class Verdict(StrEnum):
    """What a check came to; a warning does not fail the command."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    found: str
    fix: str = ""


def _judge(name: str, *, is_good: bool, found: str, fix: str) -> Check:
    """Return the check with its fix only where it failed."""
    if is_good:
        return Check(name, Verdict.OK, found)
    return Check(name, Verdict.FAILED, found, fix)


class DoctorFoundError(FindingsError):
    """Some checks failed."""

    kind = ErrorKind.UNAVAILABLE
    code = "doctor_found_faults"
    remedy = "Follow the fix beside each failed check, then run `vending doctor` again."

    def __init__(self, report: Row, count: int) -> None:
        super().__init__(f"{count} check(s) failed", report=report, count=count)


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("doctor")(doctor)


@host("looks at the machine; a release is tried with it")
def doctor(
    confirm: Annotated[
        bool,
        typer.Option("--confirm-clock", help="The clock is right: let vending go on after a jump."),
    ] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every setting with its source, and check clock, database, key store and folders.

    Raises:
        DoctorFoundError: Some checks failed.
    """
    settings = read_settings(data)
    origins = list_origins(settings, {"data_dir": data})
    checks = list(_run_checks(settings, confirm=confirm))
    rows = [
        {
            "check": one.name,
            "verdict": one.verdict.value,
            "found": one.found,
            "fix": one.fix,
        }
        for one in checks
    ]
    shown = [{"setting": o.name, "value": o.value, "source": o.source} for o in origins]
    report: Row = {"settings": shown, "checks": rows}
    if not as_json:
        print_document(shown, as_json=False, title="settings")
        _print_checks(checks)
    failed_count = sum(one.verdict is Verdict.FAILED for one in checks)
    if failed_count:
        raise DoctorFoundError(report, failed_count)
    if as_json:
        print_document(report, as_json=True)
    print_note("All is well.", as_json=as_json)


def _print_checks(checks: Sequence[Check]) -> None:
    for one in checks:
        print_note(f"{one.verdict.value:7}  {one.name}: {one.found}", as_json=False)
        if one.fix:
            print_note(f"         {one.fix}", as_json=False)


def _run_checks(settings: Settings, *, confirm: bool) -> Iterator[Check]:
    yield from _check_variables()
    yield _check_folder(settings.data_dir)
    yield _check_space(settings.data_dir)
    yield _check_demo(settings)
    yield _check_port(settings)
    try:
        database = open_database(settings)
    except VendingError as error:
        yield Check("database", Verdict.FAILED, str(error), error.remedy)
        return
    try:
        yield from _check_database(database)
        schema = _guarded("schema", lambda: _check_schema(database))
        yield schema
        if schema.verdict is Verdict.FAILED:
            return  # the other checks read its tables
        if confirm:
            confirm_clock(database, SystemClock())
        yield from (_guarded(name, run) for name, run in _later_checks(settings, database))
    finally:
        database.close()


def _later_checks(settings: Settings, database: Database) -> list[tuple[str, Callable[[], Check]]]:
    return [
        ("key store", lambda: _check_key_store(settings, database)),
        ("security module", lambda: _check_security_module(settings, database)),
        ("clock", lambda: _check_clock(settings, database)),
        ("key file", lambda: _check_key_file(settings)),
        ("outbox", lambda: _check_outbox(database)),
        ("commands", lambda: _check_commands(database)),
    ]


def _guarded(name: str, run: Callable[[], Check]) -> Check:
    try:
        return run()
    except VendingError as error:
        return Check(name, Verdict.FAILED, str(error), error.remedy)


def _check_variables() -> Iterator[Check]:
    for variable in unknown_variables():
        yield Check(
            "environment",
            Verdict.FAILED,
            f"{variable} is no setting",
            "Correct its spelling; the table above lists every setting.",
        )


def _check_folder(folder: Path) -> Check:
    name = "data folder"
    if not folder.is_dir():
        return Check(name, Verdict.FAILED, "missing", "Run `vending init`.")
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & MODE_TOO_OPEN:
        return Check(name, Verdict.FAILED, f"mode {mode:04o}", f"Run `chmod 0700 {folder}`.")
    return _judge(
        name,
        is_good=os.access(folder, os.W_OK),
        found=str(folder.absolute()),
        fix="It cannot be written: give it to the user of the service with `chown`.",
    )


def _check_space(folder: Path) -> Check:
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir()
    )
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    return _judge(
        "free space",
        is_good=free_mb >= FREE_SPACE_MIN_MB,
        found=f"{free_mb} MB",
        fix=f"Keep {FREE_SPACE_MIN_MB} MB free.",
    )


def _check_demo(settings: Settings) -> Check:
    return _judge(
        "demo mode",
        is_good=not settings.demo,
        found="on" if settings.demo else "off",
        fix="Unset VENDING_DEMO: demo keys are public.",
    )


def _check_port(settings: Settings) -> Check:
    place = f"{settings.host}:{settings.port}"
    try:
        open_listener(settings).close()
    except PortInUseError as error:
        if _is_our_service(settings):
            return Check("port", Verdict.OK, f"{place} is served by this service")
        return Check("port", Verdict.FAILED, str(error), error.remedy)
    return Check("port", Verdict.OK, f"{place} is free")


def _is_our_service(settings: Settings) -> bool:
    connection = HTTPConnection(settings.host, settings.port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read() == canonical_json({"status": "ok"})
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _check_database(database: Database) -> Iterator[Check]:
    for finding in durability_report(database):
        yield _judge(
            f"database {finding.setting}",
            is_good=finding.is_safe,
            found=str(finding.found),
            fix=f"Set it to {finding.wanted}.",
        )


def _check_schema(database: Database) -> Check:
    migrate.require_head(database)
    return Check("schema", Verdict.OK, migrate.head_revision())


def _check_key_store(settings: Settings, database: Database) -> Check:
    store = open_store(database, unlock_of(settings), data_folder=settings.data_dir)
    if settings.security_module == "attached":
        return Check("key store", Verdict.OK, "open; the vending keys are in the module")
    return _judge_keys(store.list_keys())


def _judge_keys(keys: Sequence[KeyDescription]) -> Check:
    now = SystemClock().now()
    usable = [key for key in keys if _can_issue(key, now)]
    if not usable:
        fix = "Bring one in with `vending keys ceremony`."
        return Check("key store", Verdict.FAILED, "no key that can issue", fix)
    soon = now + timedelta(days=EXPIRY_WARNING_DAYS)
    expiring = [str(key.register) for key in usable if not _can_issue(key, soon)]
    if expiring:
        return Check(
            "key store",
            Verdict.WARNING,
            f"{', '.join(expiring)} will expire within {EXPIRY_WARNING_DAYS} days",
            "Ask the key management centre for the next revision.",
        )
    return Check("key store", Verdict.OK, f"{len(usable)} key(s) can issue")


def _check_security_module(settings: Settings, database: Database) -> Check:
    match settings.security_module:
        case "software":
            return Check("security module", Verdict.OK, "software, in this process")
        case "pkcs11":
            return _check_token(settings, database)
        case "attached":
            return _check_attached(settings)


def _check_token(settings: Settings, database: Database) -> Check:
    name = "security module"
    token = token_of(settings)
    store = open_store(database, unlock_of(settings), data_folder=settings.data_dir)
    try:
        token.require_present()
        places = PKCS11SecurityModule(store, token, demo_allowed=settings.demo).check_keys()
    finally:
        token.close()
    found = f"PKCS#11 token {token.label!r} holds {sum(places.values())} of {len(places)} key(s)"
    outside = [str(register) for register, is_in_token in places.items() if not is_in_token]
    if outside:
        return Check(
            name,
            Verdict.WARNING,
            f"{found}; in the key store lie {', '.join(outside)}",
            "A DKGA02 key stays there; bring in the next revision of any other, and retire it.",
        )
    return Check(name, Verdict.OK, found)


def _check_attached(settings: Settings) -> Check:
    name = "security module"
    module = attach(settings, clock=SystemClock())
    identification = module.identify()
    keys: list[KeyDescription] = []
    for register, held in module.check_registers().items():
        if isinstance(held, ModuleError):
            return Check(name, Verdict.FAILED, f"register {register.number}: {held}", held.remedy)
        keys.append(held)
    judged = _judge_keys(keys)
    found = f"{identification} on {module.link}: {judged.found}"
    return Check(name, judged.verdict, found, judged.fix)


def _can_issue(key: KeyDescription, at: datetime) -> bool:
    attributes = key.attributes
    is_expired = is_key_expired_at(at, attributes.base_date, attributes.ken)
    return key.retired_at is None and not is_expired


def _check_key_file(settings: Settings) -> Check:
    if not settings.own_key_file.is_file():
        return Check("key file", Verdict.OK, "not in the data folder")
    return Check(
        "key file",
        Verdict.WARNING,
        f"{settings.own_key_file} lies beside the database it protects",
        "Move it elsewhere and name it with VENDING_KEY_STORE_KEY_FILE; keep a copy.",
    )


def _check_clock(settings: Settings, database: Database) -> Check:
    clock = SystemClock()
    limits = ClockLimits(settings.clock_backward_limit_s, settings.clock_forward_limit_s)
    check_clock(ClockGuard(clock, limits), database)
    return Check("clock", Verdict.OK, clock.now().isoformat(timespec="seconds"))


def _check_outbox(database: Database) -> Check:
    with database.read() as connection:
        age = age_of_oldest(connection, SystemClock().now())
        parked_count = count_parked(connection)
    if parked_count:
        return Check(
            "outbox",
            Verdict.FAILED,
            f"{parked_count} message(s) wait for a person",
            "Read their failures with `vending outbox list`, then `vending outbox release`.",
        )
    age_s = int(age.total_seconds()) if age else 0
    return _judge(
        "outbox",
        is_good=age_s <= AGE_MAX_S,
        found=f"oldest waits {age_s} s",
        fix="Start the worker: `vending worker`.",
    )


def _check_commands(database: Database) -> Check:
    with database.read() as connection:
        waiting_count = count_unfinished(connection).get(CommandState.NEEDS_HUMAN, 0)
    if waiting_count:
        return Check(
            "commands",
            Verdict.WARNING,
            f"{waiting_count} command(s) wait for a person",
            "See them with `vending commands list`, then retry or settle each.",
        )
    return Check("commands", Verdict.OK, "none waits for a person")
