"""Function 03 of a simulated DL/T 645 meter: sessions, the wallet's status, purchases."""

from collections.abc import Callable, Mapping
from typing import Final

from meter_drivers.errors import RemoteProtocolError
from meter_drivers.protocols.dlt645.frames import Address
from meter_drivers.protocols.dlt645.messages import Refused, SecurityDone
from meter_drivers.protocols.dlt645.prepaid import (
    Authentication,
    PrepaidDialect,
    SecurityFunction,
    SecurityRequest,
    SessionValidity,
)
from meter_drivers.protocols.dlt645.purchases import PURCHASES, WalletStatus, decode_purchase
from meter_drivers.protocols.dlt645.recharge import (
    Wallet,
    begin_session,
    end_session,
    set_session_validity,
)
from meter_drivers.protocols.dlt645.refusals import SecurityError
from meter_drivers.protocols.dlt645.signing import Session
from simulators.dlt645_security import ToyElement
from simulators.prepaid_meter import PrepaidMeter
from simulators.purchases import enter_purchase, meter_time, wallet_of, with_wallet
from simulators.simulated_meter import SimulatedMeter

SecurityAnswer = SecurityDone | Refused


class SecurityService:
    """The secure element of one meter, and its wallet, behind function 03."""

    def __init__(
        self,
        simulated: SimulatedMeter,
        address: Address,
        *,
        dialect: PrepaidDialect,
        make_random: Callable[[int], bytes],
    ) -> None:
        """Take the meter; `make_random` gives so many bytes that nobody foresees."""
        self._simulated = simulated
        self._element = ToyElement(address)
        self._dialect = dialect
        self._make_random = make_random
        self._answers: Final[Mapping[int, Callable[[SecurityRequest], SecurityAnswer]]] = {
            SecurityFunction.AUTHENTICATE: self._authenticate,
            SecurityFunction.SET_SESSION_VALIDITY: self._set_validity,
            SecurityFunction.END_SESSION: self._end_session,
            SecurityFunction.READ_STATUS: self._read_status,
            **dict.fromkeys(PURCHASES, self._purchase),
        }

    @property
    def element(self) -> ToyElement:
        """Return the secure element."""
        return self._element

    def find_session(self) -> Session | None:
        """Return the session that is valid now."""
        return _session_of(self._simulated.state)

    def answer(self, request: SecurityRequest) -> SecurityAnswer:
        """Act on a request, and return what is answered."""
        act = self._answers.get(request.identifier)
        if act is None:
            return _refuse(SecurityError.OTHER)
        try:
            return act(request)
        except RemoteProtocolError:
            return _refuse(SecurityError.OTHER)

    def _authenticate(self, request: SecurityRequest) -> SecurityAnswer:
        authentication = Authentication.from_payload(request.payload)
        session = self._element.authenticate(authentication, meter_random=self._make_random(4))

        def begin(meter: PrepaidMeter) -> tuple[PrepaidMeter, SecurityError | None]:
            wallet, refusal = begin_session(wallet_of(meter), session, now=meter_time(meter))
            return with_wallet(meter, wallet), refusal

        payload = b"" if session is None else session.opened.to_payload()
        return self._act(request, begin, payload)

    def _set_validity(self, request: SecurityRequest) -> SecurityAnswer:
        validity = SessionValidity.from_payload(request.payload)

        def set_validity(meter: PrepaidMeter) -> tuple[PrepaidMeter, SecurityError | None]:
            session = _session_of(meter)
            is_genuine = session is not None and self._element.is_validity_genuine(
                session, validity.minutes, validity.mac
            )
            wallet, refusal = set_session_validity(
                wallet_of(meter), validity.minutes, is_genuine=is_genuine, now=meter_time(meter)
            )
            return with_wallet(meter, wallet), refusal

        return self._act(request, set_validity)

    def _end_session(self, request: SecurityRequest) -> SecurityAnswer:
        meter = self._simulated.change(
            lambda meter: with_wallet(meter, end_session(wallet_of(meter)))
        )
        status = _status_of(wallet_of(meter))
        return SecurityDone(request.identifier, status.to_session_end(dialect=self._dialect))

    def _read_status(self, request: SecurityRequest) -> SecurityAnswer:
        meter = self._simulated.state
        status = self._element.sign_status(
            _session_of(meter), _status_of(wallet_of(meter)), dialect=self._dialect
        )
        return SecurityDone(request.identifier, status.to_status(dialect=self._dialect))

    def _purchase(self, request: SecurityRequest) -> SecurityAnswer:
        purchase = decode_purchase(request, dialect=self._dialect)

        def enter(meter: PrepaidMeter) -> tuple[PrepaidMeter, SecurityError | None]:
            session = _session_of(meter)
            is_genuine = session is not None and self._element.is_purchase_genuine(
                session, purchase, dialect=self._dialect
            )
            return enter_purchase(meter, purchase, is_genuine=is_genuine)

        return self._act(request, enter)

    def _act(
        self,
        request: SecurityRequest,
        step: Callable[[PrepaidMeter], tuple[PrepaidMeter, SecurityError | None]],
        payload: bytes = b"",
    ) -> SecurityAnswer:
        """Let something be done to the meter as it is now, and return what it says of it."""
        refusals: list[SecurityError] = []

        def change(meter: PrepaidMeter) -> PrepaidMeter:
            changed, refusal = step(meter)
            if refusal is not None:
                refusals.append(refusal)
            return changed

        self._simulated.change(change)
        return _refuse(refusals[0]) if refusals else SecurityDone(request.identifier, payload)


def _session_of(meter: PrepaidMeter) -> Session | None:
    return wallet_of(meter).find_session(meter_time(meter))


def _status_of(wallet: Wallet) -> WalletStatus:
    return WalletStatus(wallet.balance_minor, wallet.count, wallet.customer_number)


def _refuse(refusal: SecurityError) -> Refused:
    return Refused(refusal, 2)
