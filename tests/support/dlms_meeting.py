"""A client and a server association that meet, APDU by APDU, for tests."""

from dataclasses import replace

from meter_drivers.protocols.dlms.acse import (
    Context,
    Mechanism,
)
from meter_drivers.protocols.dlms.axdr import double_long, octet_string
from meter_drivers.protocols.dlms.classes.account import AVAILABLE_CREDIT
from meter_drivers.protocols.dlms.client import (
    ClientAssociation,
    ClientSettings,
)
from meter_drivers.protocols.dlms.client_events import (
    Associated,
    ClientEvent,
    Continue,
)
from meter_drivers.protocols.dlms.names import Attribute, LogicalName
from meter_drivers.protocols.dlms.security import (
    Ciphering,
    Password,
    SecurityContext,
)
from meter_drivers.protocols.dlms.server import ServerAssociation, ServerSettings
from tests.support.dlms_objects import CLIENT_TITLE, KEYS, SERVER_TITLE, RecordingObjects

PROFILE = Attribute(7, LogicalName.parse("1.0.99.1.0.255"), 2)
ABSENT = Attribute(1, LogicalName.parse("0.0.96.1.9.255"), 2)
CREDIT = double_long(-500)
LONG = octet_string(bytes(range(256)) * 3)
TO_SERVER, TO_CLIENT = b"C" * 16, b"S" * 16


class Meeting:
    """A client and a server association, with all that either needs for one way of meeting."""

    def __init__(self, way: str = "none", *, ciphering: Ciphering = Ciphering.GENERAL) -> None:
        self.objects = RecordingObjects({AVAILABLE_CREDIT: CREDIT, PROFILE: LONG})
        self.client_security: SecurityContext | None = None
        self.server_security: SecurityContext | None = None
        client, server = ClientSettings(), ServerSettings()
        if way == "low":
            client = replace(client, mechanism=Mechanism.LOW, password=Password(b"12345678"))
            server = replace(server, mechanism=Mechanism.LOW, password=Password(b"12345678"))
        if way.startswith("high"):
            high = Mechanism.HIGH_GMAC
            client = replace(client, mechanism=high, new_challenge=lambda: TO_SERVER)
            server = replace(server, mechanism=high, new_challenge=lambda: TO_CLIENT)
        if way.endswith("ciphered"):
            client = replace(client, context=Context.CIPHERED)
            server = replace(server, context=Context.CIPHERED)
        if way not in {"none", "low"}:
            self.client_security = SecurityContext(KEYS, title=CLIENT_TITLE, ciphering=ciphering)
            self.server_security = SecurityContext(KEYS, title=SERVER_TITLE, next_counter=100)
        self.client_settings, self.server_settings = client, server

    def build(self) -> "Meeting":
        self.client = ClientAssociation(self.client_settings, self.client_security)
        self.server = ServerAssociation(self.server_settings, self.objects, self.server_security)
        return self

    def exchange(self, apdu: bytes) -> ClientEvent:
        for _ in range(100):
            answer = self.server.receive_apdu(apdu)
            assert answer is not None
            event = self.client.receive_apdu(answer)
            if not isinstance(event, Continue):
                return event
            apdu = event.apdu
        raise AssertionError("it does not end")

    def associate(self) -> "Meeting":
        self.build()
        event = self.exchange(self.client.associate())
        assert isinstance(event, Associated)
        assert self.client.is_ready
        assert self.server.is_ready
        return self


WAYS = ["none", "low", "ciphered", "high", "high ciphered"]


MEETINGS = [
    *((way, Ciphering.GENERAL) for way in WAYS),
    ("ciphered", Ciphering.PER_SERVICE),
    ("high ciphered", Ciphering.PER_SERVICE),
]
