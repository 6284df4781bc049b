"""How long a session holds is what two people have set, whatever runs the sign-in."""

from datetime import timedelta

from tests.support.policies import set_policies
from tests.support.sign_in import Person
from vending.policies.model import PolicyName


def test_session_holds_as_long_as_policy_says_from_the_next_sign_in(amina: Person) -> None:
    before = amina.sign_in().opened.session
    assert (before.idle_limit, before.ends_at - before.opened_at) == (
        timedelta(minutes=15),
        timedelta(hours=12),
    )
    values = {
        PolicyName.SESSION_IDLE_MIN: 5,
        PolicyName.SESSION_LIFETIME_H: 8,
        PolicyName.SESSION_FRESH_MIN: 3,
    }
    set_policies(amina.desk.database, amina.clock, values)
    after = amina.sign_in().opened.session
    assert (after.idle_limit, after.ends_at - after.opened_at) == (
        timedelta(minutes=5),
        timedelta(hours=8),
    )
    assert after.fresh_until - after.opened_at == timedelta(minutes=3)
