"""An operator's own password, changed by its holder."""

from vending.operators import rules
from vending.operators.errors import CodeRefusedError
from vending.operators.model import SignedIn
from vending.operators.passwords import check_new_password
from vending.operators.repository import accounts, sessions, sign_in
from vending.operators.service.desk import SignInDesk
from vending.operators.service.throttling import Counted, count_attempt, take_off
from vending.persistence.audit import AuditEvent, record


def change_password(desk: SignInDesk, by: SignedIn, present: str, new: str) -> None:
    """Change the operator's own password; other sessions, and sign-ins that wait, end.

    Raises:
        SecondFactorStaleError: The second factor was given too long ago.
        TooManyAttemptsError: There were too many wrong ones in this session.
        CodeRefusedError: The present password is wrong.
        PasswordRefusedError: The new one may not be chosen.
    """
    by.require_fresh(desk.clock.now())
    own_words = (by.name, by.person, desk.issuer)
    check_new_password(new, own_words=own_words)
    track = rules.track_of_session(by.session_id)
    counted = Counted({track: rules.FREE_FAILURES}, track)
    with desk.database.unit_of_work() as uow:
        count_attempt(uow.connection, counted, now=desk.clock.now())
        stored = accounts.find_password_hash(uow.connection, by.operator_id)
        uow.commit()
    subject = f"operator:{by.operator_id}"
    if not desk.passwords.matches(present, stored):
        with desk.database.unit_of_work() as uow:
            event = AuditEvent(by.actor, "password.change-refused", subject)
            record(uow.connection, [event], desk.clock)
            uow.commit()
        raise CodeRefusedError
    hashed = desk.passwords.hash(new)
    with desk.database.unit_of_work() as uow:
        take_off(uow.connection, counted, now=desk.clock.now(), is_whole=True)
        accounts.update_password_hash(uow.connection, by.operator_id, hashed)
        ended = sessions.revoke_sessions(
            uow.connection, by.operator_id, at=desk.clock.now(), but=by.session_id
        )
        sign_in.end_challenges(uow.connection, by.operator_id, at=desk.clock.now())
        event = AuditEvent(by.actor, "password.changed", subject, {"sessions_ended": ended})
        record(uow.connection, [event], desk.clock)
        uow.commit()
