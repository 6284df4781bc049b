"""People who go through the doors of signing in themselves."""

from dataclasses import dataclass
from datetime import timedelta

from tests.support.authenticators import CodeApp
from tests.support.people import sign_in_as
from vending.operators.model import NewOperator, SignedIn
from vending.operators.permissions import Role
from vending.operators.service.accounts import create_operator
from vending.operators.service.activation import Activated, begin_activation, finish_activation
from vending.operators.service.desk import Caller, SignInDesk
from vending.operators.service.sessions import authenticate, to_signed_in
from vending.operators.service.sign_in import SignInDone, begin_sign_in, finish_sign_in
from vending.values.clock import FixedClock

ORIGIN = "https://office.example.org"
PASSWORD = "lamp river cedar 71"
HERE = Caller("192.0.2.10")
ELSEWHERE = Caller("198.51.100.7")
STEP = timedelta(seconds=30)


@dataclass
class Person:
    """An operator with password, app and recovery codes."""

    desk: SignInDesk
    clock: FixedClock
    name: str
    app: CodeApp
    activated: Activated

    @property
    def signed_in(self) -> SignedIn:
        """In the session of the activation."""
        done = self.activated.signed_in
        return to_signed_in(done.operator, done.opened.session)

    @property
    def device(self) -> Caller:
        """The device on which the account was activated."""
        return Caller(HERE.source, self.activated.signed_in.device_token)

    def begin(self, caller: Caller = HERE, *, password: str = PASSWORD) -> str:
        return begin_sign_in(self.desk, self.name, password, caller)

    def fresh_code(self) -> str:
        """The next code of the app, one that was not used."""
        self.clock.advance(STEP)
        return self.app.code()

    def sign_in(self, caller: Caller = HERE) -> SignInDone:
        code = self.fresh_code()
        return finish_sign_in(self.desk, self.begin(caller), code, caller)

    def enter(self, caller: Caller = HERE) -> SignedIn:
        """Signed in anew."""
        token = self.sign_in(caller).opened.token
        return authenticate(self.desk.database, token, clock=self.clock)


def activate(
    desk: SignInDesk, name: str, *, person: str | None = None, password: str = PASSWORD
) -> Person:
    """Somebody taken on by an administrator, who activates the account."""
    clock = desk.clock
    assert isinstance(clock, FixedClock)
    admin = sign_in_as(desk.database, clock, Role.ADMINISTRATOR)
    invitation = create_operator(
        desk.database, admin, NewOperator(name, person or f"{name} of the office"), clock=clock
    )
    begun = begin_activation(desk, invitation.code, password, HERE)
    app = CodeApp(begun.enrolment.secret, clock)
    activated = finish_activation(desk, begun.ticket, app.code(), HERE)
    clock.advance(timedelta(milliseconds=1))  # what is added next comes after
    return Person(desk, clock, name, app, activated)
