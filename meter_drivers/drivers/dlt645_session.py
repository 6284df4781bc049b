"""Identity sessions (身份认证): what stands before every purchase and every order under MAC."""

from meter_drivers.drivers.dlt645_line import DLT645Line
from meter_drivers.protocols.dlt645.prepaid import SessionOpened
from meter_drivers.protocols.dlt645.signing import SecuritySigner, Session


def open_session(line: DLT645Line, signer: SecuritySigner) -> Session:
    """Return a fresh session; the one before it, if any, ends by this."""
    authentication = signer.open_session(line.address)
    payload = line.ask_security(authentication.to_request())
    return Session(line.address, authentication, SessionOpened.from_payload(payload))
