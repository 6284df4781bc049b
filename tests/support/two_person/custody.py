"""Keys taken in and retired, a switch released, a ceiling raised."""

from sqlalchemy import select

from tests.support.key_store_place import KeyStorePlace
from tests.support.people import sign_in_as
from tests.support.policies import set_policies
from tests.support.two_person.registry import Stage, TwoPersonAct, scenario
from tests.support.vending_keys import DKGA04_HEX, DUTK_2014, register_of
from vending.approvals.model import UseCase
from vending.custody.model import Ceiling, StopScope, StopTarget, UseClass
from vending.custody.service.ceilings import propose_ceiling, set_ceiling
from vending.custody.service.ceremonies import (
    CeremonyDesk,
    CeremonyPlan,
    begin,
    enter,
    finish,
    propose_finish,
)
from vending.custody.service.key_changes import KeyDesk, propose_retirement, retire
from vending.custody.service.switches import list_stops, propose_release, release, stop
from vending.custody.tables import key_ceilings
from vending.keystore.components import KeyComponent, compute_check_value
from vending.keystore.redaction import Secret
from vending.operators.permissions import Role
from vending.policies.model import PolicyName


def place_on(stage: Stage) -> KeyStorePlace:
    return KeyStorePlace(stage.database, stage.folder, stage.clock)


@scenario(UseCase.KEY_IMPORT)
def key_import(stage: Stage) -> TwoPersonAct:
    """A ceremony whose components two custodians have entered."""
    place, attributes = place_on(stage), DUTK_2014.attributes
    desk = CeremonyDesk(stage.database, place.create(), stage.clock)
    secrets = [component.secret for component in DUTK_2014.components]
    custodians = [
        sign_in_as(stage.database, stage.clock, Role.KEY_CUSTODIAN, name=f"custodian-{number}")
        for number in range(1, len(secrets) + 1)
    ]
    plan = CeremonyPlan(
        attributes=attributes,
        component_count=len(secrets),
        check_value=compute_check_value(Secret(bytes.fromhex(DKGA04_HEX)), attributes),
        is_demo=False,
    )
    ceremony = begin(custodians[0], plan, desk)
    for number, (by, secret) in enumerate(zip(custodians, secrets, strict=True), start=1):
        component = KeyComponent(secret, check_value=compute_check_value(secret, attributes))
        enter(by, ceremony.id, number, component, desk)
    return TwoPersonAct(
        propose=lambda by: propose_finish(by, ceremony.id, desk, reason="new key").id,
        carry_out=lambda by, approval_id: finish(by, ceremony.id, approval_id, desk),
        effect=lambda: len(place.open().list_keys()),
    )


@scenario(UseCase.KEY_CHANGE)
def key_change(stage: Stage) -> TwoPersonAct:
    """A key that issues, to be retired."""
    place, register = place_on(stage), register_of(DUTK_2014)
    desk = KeyDesk(stage.database, place.take_in(place.create(), DUTK_2014), stage.clock)
    return TwoPersonAct(
        propose=lambda by: propose_retirement(by, register, desk, reason="worn out").id,
        carry_out=lambda by, approval_id: retire(by, register, approval_id, desk),
        effect=lambda: [key.retired_at for key in place.open().list_keys()],
    )


@scenario(UseCase.SWITCH_RELEASE)
def switch_release(stage: Stage) -> TwoPersonAct:
    """A supply group on stop."""
    finder = sign_in_as(stage.database, stage.clock, Role.FINANCE, name="finder")
    target = StopTarget(StopScope.SUPPLY_GROUP, "201457")
    stopped = stop(stage.database, finder, target, reason="ghost vending", clock=stage.clock)

    def effect() -> object:
        return [one.released_at for one in list_stops(stage.database, standing_only=False)]

    return TwoPersonAct(
        propose=lambda by: (
            propose_release(stage.database, by, stopped.id, reason="found", clock=stage.clock).id
        ),
        carry_out=lambda by, approval_id: release(
            stage.database, by, stopped.id, approval_id, clock=stage.clock
        ),
        effect=effect,
    )


@scenario(UseCase.CEILING_CHANGE)
def ceiling_change(stage: Stage) -> TwoPersonAct:
    """A ceiling above the one that holds."""
    set_policies(stage.database, stage.clock, {PolicyName.CEILING_CREDIT_TOKENS: 10})
    key, higher = (register_of(DUTK_2014), UseClass.CREDIT), Ceiling(token_count=1_000)
    database, clock = stage.database, stage.clock

    def effect() -> object:
        with database.read() as connection:
            return connection.scalar(select(key_ceilings.c.token_count))

    return TwoPersonAct(
        propose=lambda by: propose_ceiling(database, by, key, higher, clock, reason="spring").id,
        carry_out=lambda by, approval_id: set_ceiling(
            database, by, key, higher, clock, approval_id=approval_id
        ),
        effect=effect,
    )
