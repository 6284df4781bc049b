"""The demonstration: the real service, its worker and twenty simulated meters, in one folder.

The service and the worker are the commands a utility runs; the demonstration only talks to them
as a partner does, over HTTP, and to the meters as field staff do, with `meterctl`.
"""

import json
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from threading import Event
from typing import IO, Any, Final

from simulators.demo_commands import (
    CURRENCY,
    DemoError,
    environment,
    run_approved,
    run_vending,
)
from simulators.demo_people import meet
from simulators.fleet import RunningFleet
from simulators.fleet_file import FleetPlan, LineKind, parse_fleet

DATA_FILES: Final = files("simulators") / "demo_data"
TARIFF: Final = "DEMO-1"
PARTNER: Final = "Demo Kiosk"
SGC: Final = "990001"
PROFILE: Final = "reference_prepay"
START_TIMEOUT_S: Final = 30
STOP_TIMEOUT_S: Final = 25
POLL_S: Final = 0.1
STATE_FILE: Final = "demo.json"

_NAMES: Final = (
    ("Amina Wanjiru", "en"), ("张伟", "zh-CN"), ("Grace Otieno", "en"), ("王芳", "zh-CN"),
    ("Joseph Kamau", "en"), ("李娜", "zh-CN"), ("Fatuma Ali", "en"), ("刘洋", "zh-CN"),
    ("Peter Mwangi", "en"), ("陈静", "zh-CN"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the service."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> dict[str, Any]:
        """Return the body as a document."""
        document: dict[str, Any] = json.loads(self.body)
        return document


@dataclass(frozen=True, slots=True)
class DemoService:
    """A running service and the key of the partner that sells through it."""

    url: str
    api_key: str

    def get(self, path: str) -> Reply:
        """Ask for a document."""
        return self._send(urllib.request.Request(self.url + path, headers=self._headers()))  # noqa: S310 # our own address

    def sell(self, drn: str, minor: int, key: str) -> Reply:
        """Sell to a meter under an idempotency key."""
        body = {"meter": drn, "tender": {"minor": minor, "currency": CURRENCY}}
        request = urllib.request.Request(  # noqa: S310 # our own address
            f"{self.url}/v1/sales",
            data=json.dumps(body).encode(),
            headers={
                **self._headers(),
                "Content-Type": "application/json",
                "Idempotency-Key": key,
            },
        )
        return self._send(request)

    def curl(self, drn: str) -> str:
        """Return a command that sells, ready to paste."""
        return (
            f"curl -s {self.url}/v1/sales -H 'Authorization: Bearer {self.api_key}' "
            f"-H 'Idempotency-Key: my-first-sale' -H 'Content-Type: application/json' "
            f'-d \'{{"meter":"{drn}","tender":{{"minor":5000,"currency":"{CURRENCY}"}}}}\''
        )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.api_key}"}

    def _send(self, request: urllib.request.Request) -> Reply:
        try:
            with urllib.request.urlopen(request, timeout=START_TIMEOUT_S) as answer:  # noqa: S310 # our own address
                return Reply(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read(), dict(error.headers))


def load_plan(folder: Path, *, speed: int | None) -> FleetPlan:
    """Return the demonstration's fleet, its lines and states inside the folder.

    A folder that was used before gets its TCP port again, where it is still free. At a speed of
    its own the fleet starts afresh and remembers nothing.
    """
    text = (DATA_FILES / "fleet.toml").read_text("utf-8")
    plan = parse_fleet(text, file="fleet.toml", folder=folder)
    port = _load_state(folder).get("gateway_port", 0)
    lines = tuple(
        replace(line, port=port) if line.kind is LineKind.TCP and _is_free(port) else line
        for line in plan.lines
    )
    plan = replace(plan, lines=lines)
    return plan if speed is None else replace(plan, speed=speed, state_folder=None)


def register_link(fleet: RunningFleet, drn: str) -> str:
    """Return the link of a meter as the register takes it: the terminal itself, not its name."""
    link = fleet.link(drn)
    head, found, rest = link.partition("modbus-rtu://")
    if not found:
        return link
    path, _, options = rest.partition("?")
    return f"{head}modbus-rtu://{Path(path).resolve()}?{options}"


def prepare(folder: Path, fleet: RunningFleet) -> str:
    """Make database, demo key, tariff, customers and meters once; return the partner's key.

    Each step is noted when it is done, so that a run that was interrupted goes on where it was.

    Raises:
        DemoError: A command failed.
    """
    state = _load_state(folder)
    links = {drn: register_link(fleet, drn) for drn in fleet.meters}
    is_used = "links" in state
    _install(folder, links, state)
    if is_used:
        # Days may lie between two runs, and nobody's money depends on this clock.
        run_vending(folder, "doctor", "--confirm-clock", may_fail=True)
        for drn, link in links.items():
            if state["links"].get(drn) != link:
                run_vending(
                    folder, "meters", "link", drn, "--profile", PROFILE, "--link", link
                )  # fmt: skip
    state |= {"links": links, "gateway_port": _gateway_port(fleet)}
    _store_state(folder, state)
    return str(state["api_key"])


def _install(folder: Path, links: Mapping[str, str], state: dict[str, Any]) -> None:
    """Do the steps that the state does not name yet."""
    meet(folder, state, keep=lambda: _store_state(folder, state))
    for name, step in _STEPS.items():
        if name not in state:
            state[name] = step(folder, links)
            _store_state(folder, state)


def _import_key(folder: Path, _: Mapping[str, str]) -> object:
    components = folder / "key_components.txt"
    components.write_text((DATA_FILES / "key_components.txt").read_text("ascii"), "ascii")
    if run_vending(folder, "keys", "list"):
        return True  # it came in, and the note of it did not
    return run_vending(
        folder, "keys", "import", "--demo", "--sgc", SGC, "--krn", "1",
        "--components", str(components),
    )  # fmt: skip


def _add_tariff(folder: Path, _: Mapping[str, str]) -> object:
    if run_vending(folder, "tariffs", "list"):
        return True
    asked = run_vending(folder, "tariffs", "add", TARIFF, "--price", "20.00", "--vat", "16")
    return run_approved(folder, "tariffs", "activate", asked["draft"], approval=asked["approval"])


def _add_partner(folder: Path, _: Mapping[str, str]) -> object:
    """Return the key of a new partner; one whose making was interrupted is left alone."""
    name = f"{PARTNER} {secrets.token_hex(2)}"
    api_key = run_vending(folder, "partners", "add", name)["api_key"]
    line = ("partners", "credit-line", name, "--line", "none", "--reason", "it sells for nothing")
    run_approved(folder, *line, approval=run_vending(folder, *line)["approval"])
    return api_key


def _import_customers(folder: Path, links: Mapping[str, str]) -> object:
    _write_customers(folder / "customers.csv", len(links))
    return _import(folder, "customers")


def _import_meters(folder: Path, links: Mapping[str, str]) -> object:
    _write_meters(folder / "meters.csv", links)
    return _import(folder, "meters")


def _import(folder: Path, kind: str) -> object:
    """Import a file; rows that an interrupted run has brought in are no failure.

    Raises:
        DemoError: Rows are refused for another reason.
    """
    told = run_vending(folder, "import", kind, str(folder / f"{kind}.csv"), may_fail=True)
    if any(one["code"] != "already_registered" for one in told.get("findings", [])):
        message = f"the demonstration's {kind} are refused: {told['findings'][:3]}"
        raise DemoError(message)
    return True


_STEPS: Final[Mapping[str, Callable[[Path, Mapping[str, str]], object]]] = {
    "key": _import_key,
    "tariff": _add_tariff,
    "api_key": _add_partner,
    "customers": _import_customers,
    "meters": _import_meters,
}
"""What an installation is made of once two people are there, in order."""


def _load_state(folder: Path) -> dict[str, Any]:
    path = folder / STATE_FILE
    if not path.exists():
        return {}
    state: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return state


def _store_state(folder: Path, state: Mapping[str, Any]) -> None:
    path = folder / STATE_FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps(state), "utf-8")


def _gateway_port(fleet: RunningFleet) -> int:
    """Return the port of the line over TCP; its address reads `host:port`."""
    name = next(line.name for line in fleet.plan.lines if line.kind is LineKind.TCP)
    return int(fleet.addresses[name].rpartition(":")[2])


def require_free(port: int) -> None:
    """Check the port of the service before anything is prepared; 0 is any.

    Raises:
        DemoError: Another program listens there.
    """
    if not _is_free(port):
        message = f"port {port} is in use; choose another, such as PORT=0 for any"
        raise DemoError(message)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def running_service(folder: Path, api_key: str, port: int) -> Iterator[DemoService]:
    """Run the service and its worker as long as the block lasts.

    Raises:
        DemoError: One of them did not start.
    """
    with (
        (folder / "service.log").open("ab") as service_log,
        (folder / "worker.log").open("ab") as worker_log,
        _process(folder, ["serve", "--port", str(port)], service_log) as service,
        _process(folder, ["worker"], worker_log),
    ):
        yield DemoService(_read_url(service, folder), api_key)


@contextmanager
def _process(
    folder: Path, arguments: Sequence[str], log: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 # our own command
        [sys.executable, "-m", "vending", *arguments, "--data", str(folder), "--json"],
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment(),
        cwd=folder,
        start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read_url(service: subprocess.Popen[bytes], folder: Path) -> str:
    assert service.stdout is not None, "its output was piped"
    line = service.stdout.readline()
    try:
        document = json.loads(line)
        url = str(document["url"])
    except (ValueError, KeyError) as error:
        told = line.decode(errors="replace").strip() or f"see {folder / 'service.log'}"
        message = f"the service did not start: {told}"
        raise DemoError(message) from error
    wait_until_ready(url)
    return url


def wait_until_ready(url: str) -> None:
    """Wait until the service answers.

    Raises:
        DemoError: It does not, in time.
    """
    pause = Event()
    for _ in range(round(START_TIMEOUT_S / POLL_S)):
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=POLL_S * 10):  # noqa: S310 # our own address
                return
        except OSError:
            pause.wait(POLL_S)
    message = f"{url} does not answer within {START_TIMEOUT_S} s"
    raise DemoError(message)


def _write_customers(path: Path, count: int) -> None:
    lines = ["account_number,name,language"]
    for index in range(count):
        name, language = _NAMES[index % len(_NAMES)]
        lines.append(f"D-{index + 1:03},{name},{language}")
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _write_meters(path: Path, links: Mapping[str, str]) -> None:
    header = (
        "drn,sgc,krn,kt,ti,ea,dkga,base_date,tariff_code,currency,profile,link,location,"
        "account_number,state"
    )
    lines = [header]
    for index, (drn, link) in enumerate(links.items()):
        lines.append(
            f"{drn},{SGC},1,2,01,7,4,2014,{TARIFF},{CURRENCY},{PROFILE},"
            f"{link},House {index + 1},D-{index + 1:03},commissioned"
        )
    path.write_text("\n".join(lines) + "\n", "utf-8")


def new_sale_key() -> str:
    """Return a key for one sale, as a partner makes it."""
    return f"demo-{secrets.token_hex(8)}"
