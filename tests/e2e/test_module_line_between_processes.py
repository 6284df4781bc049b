"""One attached security module on one line, and processes of the product that share it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from simulators.endpoints.module_lines import TerminalPort, serving
from tests.support.attached_module import attached_bench, simulated_module
from tests.support.hushed_line import HeardModule
from tests.support.installation import Installation, ProductProcess, install
from tests.support.partner_client import PartnerClient, Purchase
from tests.support.vending_keys import DUTK_2014, register_of
from vending.errors import Outcome
from vending.keystore.components import combine
from vending.keystore.module_errors import ModuleBusyError
from vending.keystore.port import CreditTokenRequest
from vending.sts import (
    TI,
    BaseDate,
    EncryptionAlgorithm,
    Resource,
    TokenIdentifier,
    TransferCredit,
    VendingKey,
    decode,
    module_messages,
)
from vending.sts.dkga import derive_decoder_key
from vending.sts.pan import MeterPAN

SALES_EACH = 8
WH_PER_UNIT = 100
CREDIT = CreditTokenRequest(
    pan=MeterPAN("600727000000000009"),
    ti=TI("01"),
    ea=EncryptionAlgorithm.STA,
    base_date=BaseDate.Y2014,
    resource=Resource.ELECTRICITY,
    units=1,
    tid=TokenIdentifier(85_740),
    rnd=5,
)
HOLD = """
import sys
from meter_drivers.transports.serial import SerialStream

stream = SerialStream(sys.argv[1], baud=9600, parity="N", stop_bits=1)
stream.open()
print("held", flush=True)
sys.stdin.readline()
stream.close()
"""


@dataclass(frozen=True)
class WithModule(Installation):
    """An installation whose processes ask a module on a line."""

    module_port: str

    def environment(self) -> Mapping[str, str]:
        return {
            **super().environment(),
            "VENDING_SECURITY_MODULE": "attached",
            "VENDING_MODULE_PORT": self.module_port,
            "VENDING_MODULE_REGISTERS": "3=201457/1/2/2014",
            "VENDING_MODULE_TIMEOUT_MS": "60000",  # whoever waits for the line waits for long
        }


@pytest.fixture
def module() -> HeardModule:
    return simulated_module()


@pytest.fixture
def place(postgres_url: str, tmp_path: Path, module: HeardModule) -> Iterator[WithModule]:
    made = install(tmp_path / "place", postgres_url, meter_count=2)
    known = {field.name: getattr(made, field.name) for field in fields(Installation)}
    with serving(module, TerminalPort()) as address:
        yield WithModule(**known, module_port=address)


def credit_of(digits: str, meter: str) -> TransferCredit:
    """What a token says to the meter it was sold for; another meter's says nothing."""
    key = VendingKey(DUTK_2014.attributes, combine(DUTK_2014)[0].reveal())
    pan, sta = MeterPAN.from_drn(meter), EncryptionAlgorithm.STA
    told = decode(digits, derive_decoder_key(key, pan=pan, ti=TI("01"), ea=sta))
    assert isinstance(told, TransferCredit)
    return told


def test_sales_through_two_processes_never_mix_their_tokens(
    place: WithModule, module: HeardModule
) -> None:
    """Both ask the module at once; each sale has its answer at the first try, and its own token."""

    def sell(number: int, service: ProductProcess) -> list[tuple[str, dict[str, Any]]]:
        told = []
        with closing(PartnerClient(service.port, place.api_key)) as client:
            for count in range(SALES_EACH):
                meter = place.meters[number]
                minor = 5_000 + 1_000 * (number * SALES_EACH + count)
                reply = client.sell(Purchase(f"k{number}-{count}", meter, minor))
                assert (reply.status, reply.tries) == (201, 1), reply.body
                told.append((meter, json.loads(reply.body)))
        return told

    with (
        ProductProcess(place, "serve", "--port", "0") as first,
        ProductProcess(place, "serve", "--port", "0") as second,
        ThreadPoolExecutor(2) as threads,
    ):
        told = [one for each in threads.map(sell, (0, 1), (first, second)) for one in each]
    sold = [(credit_of(one["tokens"][0]["digits"], meter), one) for meter, one in told]
    for credit, one in sold:
        assert credit.units * WH_PER_UNIT == one["tokens"][0]["energy_wh"]
    for meter in place.meters[:2]:
        tids = [credit.tid for credit, one in sold if one["meter"]["drn"] == meter]
        assert len(set(tids)) == len(tids) == SALES_EACH
    asked = [one for one in module.requests if isinstance(one, module_messages.CreditTokenRequest)]
    assert len(asked) == len(told) == 2 * SALES_EACH


@contextmanager
def held_by_another(address: str) -> Iterator[None]:
    """Another OS process has the line until the end."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        yield
    finally:
        holder.communicate(b"\n", timeout=200)


def test_who_does_not_get_the_line_has_sent_nothing() -> None:
    with attached_bench() as bench:
        with held_by_another(bench.address), pytest.raises(ModuleBusyError) as refused:
            bench.module.vend(register_of(DUTK_2014), CREDIT)
        assert refused.value.outcome is Outcome.NONE
        assert bench.simulated.requests == []
        bench.module.vend(register_of(DUTK_2014), CREDIT)
