"""doctor: what is set, from where, and what is wrong, each with its fix."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from vending.bootstrap import open_database, unlock_of
from vending.cli.context import DataOption, read_settings
from vending.cli.output import FindingsError, JsonOption, Row, print_document, print_note
from vending.errors import ErrorKind, VendingError
from vending.keystore.service import open_store
from vending.persistence import migrate
from vending.persistence.engine import Database, durability_report
from vending.persistence.outbox import age_of_oldest, count_parked
from vending.sales.rules import ClockLimits
from vending.sales.service.clock_guard import ClockGuard, check_clock, confirm_clock
from vending.settings import Settings, list_origins, unknown_variables
from vending.sts import is_key_expired_at
from vending.values.clock import SystemClock

FREE_SPACE_MIN_MB: Final = 500
MODE_TOO_OPEN: Final = stat.S_IRWXO | stat.S_IWGRP
"""A group may look into the folder, as the one of a backup does; the key file has its own check."""
EXPIRY_WARNING_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    is_good: bool
    found: str
    fix: str = ""


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
            "verdict": "ok" if one.is_good else "FAILED",
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
    failed_count = sum(not one.is_good for one in checks)
    if failed_count:
        raise DoctorFoundError(report, failed_count)
    if as_json:
        print_document(report, as_json=True)
    print_note("All is well.", as_json=as_json)


def _print_checks(checks: Sequence[Check]) -> None:
    for one in checks:
        verdict = "ok    " if one.is_good else "FAILED"
        print_note(f"{verdict}  {one.name}: {one.found}", as_json=False)
        if one.fix:
            print_note(f"        {one.fix}", as_json=False)


def _run_checks(settings: Settings, *, confirm: bool) -> Iterator[Check]:
    yield from _check_variables()
    yield _check_folder(settings.data_dir)
    yield _check_space(settings.data_dir)
    yield _check_demo(settings)
    try:
        database = open_database(settings)
    except VendingError as error:
        yield Check("database", is_good=False, found=str(error), fix=error.remedy)
        return
    try:
        yield from _check_database(database)
        schema = _guarded("schema", lambda: _check_schema(database))
        yield schema
        if not schema.is_good:
            return  # the other checks read its tables
        if confirm:
            confirm_clock(database, SystemClock())
        yield from (_guarded(name, run) for name, run in _later_checks(settings, database))
    finally:
        database.close()


def _later_checks(settings: Settings, database: Database) -> list[tuple[str, Callable[[], Check]]]:
    return [
        ("key store", lambda: _check_key_store(settings, database)),
        ("clock", lambda: _check_clock(settings, database)),
        ("outbox", lambda: _check_outbox(database)),
    ]


def _guarded(name: str, run: Callable[[], Check]) -> Check:
    try:
        return run()
    except VendingError as error:
        return Check(name, is_good=False, found=str(error), fix=error.remedy)


def _check_variables() -> Iterator[Check]:
    for variable in unknown_variables():
        yield Check(
            "environment",
            is_good=False,
            found=f"{variable} is no setting",
            fix="Correct its spelling; the table above lists every setting.",
        )


def _check_folder(folder: Path) -> Check:
    if not folder.is_dir():
        return Check("data folder", is_good=False, found="missing", fix="Run `vending init`.")
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & MODE_TOO_OPEN:
        return Check(
            "data folder",
            is_good=False,
            found=f"mode {mode:04o}",
            fix=f"Run `chmod 0700 {folder}`.",
        )
    if not os.access(folder, os.W_OK):
        return Check(
            "data folder",
            is_good=False,
            found="not writable",
            fix="Give it to the user of the service with `chown`.",
        )
    return Check("data folder", is_good=True, found=str(folder.absolute()))


def _check_space(folder: Path) -> Check:
    existing = next(
        path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir()
    )
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    return Check(
        "free space",
        is_good=free_mb >= FREE_SPACE_MIN_MB,
        found=f"{free_mb} MB",
        fix="" if free_mb >= FREE_SPACE_MIN_MB else f"Keep {FREE_SPACE_MIN_MB} MB free.",
    )


def _check_demo(settings: Settings) -> Check:
    if settings.demo:
        return Check(
            "demo mode", is_good=False, found="on", fix="Unset VENDING_DEMO: demo keys are public."
        )
    return Check("demo mode", is_good=True, found="off")


def _check_database(database: Database) -> Iterator[Check]:
    for finding in durability_report(database):
        yield Check(
            f"database {finding.setting}",
            is_good=finding.is_safe,
            found=str(finding.found),
            fix="" if finding.is_safe else f"Set it to {finding.wanted}.",
        )


def _check_schema(database: Database) -> Check:
    migrate.require_head(database)
    return Check("schema", is_good=True, found=migrate.head_revision())


def _check_key_store(settings: Settings, database: Database) -> Check:
    store = open_store(database, unlock_of(settings), data_folder=settings.data_dir)
    now = SystemClock().now()
    usable = [
        key
        for key in store.list_keys()
        if key.retired_at is None
        and not is_key_expired_at(now, key.attributes.base_date, key.attributes.ken)
    ]
    if not usable:
        return Check(
            "key store",
            is_good=False,
            found="no key that can issue",
            fix="Bring one in with `vending keys import`.",
        )
    return Check("key store", is_good=True, found=f"{len(usable)} key(s) can issue")


def _check_clock(settings: Settings, database: Database) -> Check:
    clock = SystemClock()
    limits = ClockLimits(settings.clock_backward_limit_s, settings.clock_forward_limit_s)
    check_clock(ClockGuard(clock, limits), database)
    return Check("clock", is_good=True, found=clock.now().isoformat(timespec="seconds"))


def _check_outbox(database: Database) -> Check:
    with database.read() as connection:
        age = age_of_oldest(connection, SystemClock().now())
        parked_count = count_parked(connection)
    if parked_count:
        return Check(
            "outbox",
            is_good=False,
            found=f"{parked_count} message(s) wait for a person",
            fix="Read the worker's log for their failures.",
        )
    age_s = int(age.total_seconds()) if age else 0
    is_good = age_s < 300  # noqa: PLR2004 # as /readyz
    return Check(
        "outbox",
        is_good=is_good,
        found=f"oldest waits {age_s} s",
        fix="" if is_good else "Start the worker: `vending worker`.",
    )
