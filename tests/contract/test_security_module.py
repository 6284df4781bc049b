"""What every security module does; `conftest.py` lists them.

Token vectors: STS 531-1-0-02, STS 531-1-07 and STS 531-1-11 Edition 2.2, random field 5.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.vending_keys import (
    DCTK_1993,
    DCTK_2014,
    DDTK_2014,
    DEMO,
    DUTK_1993,
    DUTK_2014,
    DUTK_2035,
    EXPIRED,
    RETIRED,
    register_of,
)
from vending.errors import VendingError
from vending.keystore.components import KeyImport
from vending.keystore.errors import (
    DemoKeyRefusedError,
    KeyChangeError,
    KeyExpiredError,
    KeyNotFoundError,
    KeyRetiredError,
    MeterConfigurationError,
    TokenKindError,
    TokenValueError,
)
from vending.keystore.port import (
    CreditTokenRequest,
    KeyChangeRequest,
    KeyChangeSection,
    KeyReference,
    ManagementTokenRequest,
    SecurityModule,
    VerifyRequest,
)
from vending.sts.keys import SGC, TI, EncryptionAlgorithm, KeyType
from vending.sts.pan import MeterPAN
from vending.sts.results import AuthenticationResult, Rejection, TokenResult
from vending.sts.tcdu import TokenCarrierType
from vending.sts.tid import BaseDate, TokenIdentifier
from vending.sts.tokens import (
    ClearCredit,
    CreditRegister,
    InitiateMeterTest,
    ManagementToken,
    Resource,
    SetMaximumPowerLimit,
    TransferCredit,
)

CHOOSES_RND = {"attached", "attached and guarded"}
"""The line carries no random number: the module draws its own, 5 in these tests."""
TELLS_NO_CHECK_VALUE = CHOOSES_RND
METER = MeterPAN("600727000000000009")
METER_13 = MeterPAN("000001000000000082")
STA, MISTY1 = EncryptionAlgorithm.STA, EncryptionAlgorithm.MISTY1
NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)

TID_2014 = TokenIdentifier.at(datetime(2014, 3, 1, 13, 0, tzinfo=UTC), BaseDate.Y2014)
CREDIT = CreditTokenRequest(
    pan=METER,
    ti=TI("01"),
    ea=STA,
    base_date=BaseDate.Y2014,
    resource=Resource.ELECTRICITY,
    units=1,
    tid=TID_2014,
    rnd=5,
)
KEY_CHANGE = KeyChangeRequest(pan=METER, ti=TI("01"), new_ti=TI("02"), ea=STA, issued_at=NOW)


def dated(base_date: BaseDate, issued: str) -> dict[str, Any]:
    instant = datetime.fromisoformat(f"{issued}+00:00")
    return {"base_date": base_date, "tid": TokenIdentifier.at(instant, base_date)}


CREDIT_VECTORS = {
    "EA07-CTSA01-1": (DUTK_2014, CREDIT, "70630503470028726114"),
    "EA07-CTSA01-6": (
        DUTK_2014,
        replace(
            CREDIT,
            pan=METER_13,
            resource=Resource.WATER,
            **dated(BaseDate.Y2014, "2014-03-01 13:45"),
        ),
        "03530385555165579931",
    ),
    "EA07-CTSA01-9": (
        DUTK_2035,
        replace(CREDIT, **dated(BaseDate.Y2035, "2035-01-01 08:00")),
        "49217377437065731889",
    ),
    "EA11-CTSA01-1": (DUTK_2014, replace(CREDIT, ea=MISTY1), "58625789986991357486"),
    "EA11-CTSA10-6": (
        DUTK_2014,
        replace(CREDIT, ea=MISTY1, units=180224, **dated(BaseDate.Y2014, "2026-07-11 00:55")),
        "32152659949137970265",
    ),
    "D02-CTSA01-1": (
        DUTK_1993,
        replace(CREDIT, **dated(BaseDate.Y1993, "2004-03-01 13:55")),
        "23716100501183194197",
    ),
}
KEY_CHANGE_VECTORS = {
    "EA07-CTSA05-1": (
        (DUTK_2014, DUTK_2014, KEY_CHANGE),
        ("06510894141453018386", "22979178279997208272"),
    ),
    "EA07-CTSA05-2": (
        (DUTK_2014, DUTK_2035, KEY_CHANGE),
        ("65413070543688156280", "27469374567476953413"),
    ),
    "EA11-CTSA05-2": (
        (DUTK_2014, DUTK_2035, replace(KEY_CHANGE, ea=MISTY1)),
        (
            "39536809214641544852",
            "23263472884016433225",
            "45268691985939334940",
            "65389277406881242890",
        ),
    ),
    "D02-CTSA05-3": (
        (
            DUTK_1993,
            DUTK_1993,
            replace(KEY_CHANGE, pan=METER_13, issued_at=datetime(2024, 11, 24, 20, 15, tzinfo=UTC)),
        ),
        ("36495265416911568628", "35908059266238070883"),
    ),
}


def managed(token: ManagementToken | InitiateMeterTest) -> ManagementTokenRequest:
    return ManagementTokenRequest(
        pan=METER, ti=TI("01"), ea=STA, base_date=BaseDate.Y2014, token=token
    )


def power_limit(tid: TokenIdentifier) -> SetMaximumPowerLimit:
    return SetMaximumPowerLimit(rnd=5, tid=tid, limit_w=1000)


# --- credit ------------------------------------------------------------------------------------
@pytest.mark.parametrize("vector", CREDIT_VECTORS)
def test_vend_gives_the_published_token(module: SecurityModule, vector: str) -> None:
    key, request, token = CREDIT_VECTORS[vector]
    assert module.vend(register_of(key), request) == token


def test_vend_repeated_gives_the_same_digits(module: SecurityModule) -> None:
    register = register_of(DUTK_2014)
    assert module.vend(register, CREDIT) == module.vend(register, CREDIT)


@pytest.mark.parametrize(
    "change",
    [
        {"units": 2},
        {"rnd": 6},
        {"tid": TokenIdentifier(TID_2014.minutes + 1)},
        {"ti": TI("02")},
        {"pan": METER_13},
        {"resource": Resource.GAS},
    ],
    ids=str,
)
def test_vend_gives_other_digits_for_another_request(
    module: SecurityModule, name: str, change: dict[str, Any]
) -> None:
    register = register_of(DUTK_2014)
    other = replace(CREDIT, **change)
    is_drawn_there = name in CHOOSES_RND and "rnd" in change
    is_same = module.vend(register, other) == module.vend(register, CREDIT)
    assert is_same == is_drawn_there


def test_vend_refuses_a_key_it_does_not_have(module: SecurityModule) -> None:
    unknown = KeyReference(SGC("201457"), 2, KeyType.DUTK)
    with pytest.raises(KeyNotFoundError) as refused:
        module.vend(unknown, CREDIT)
    assert refused.value.facts == {"register": "201457/2/DUTK"}


def test_vend_issues_in_the_last_minute_of_the_key(module: SecurityModule) -> None:
    last = TokenIdentifier((EXPIRED.attributes.ken + 1 << 16) - 1)
    assert module.vend(register_of(EXPIRED), replace(CREDIT, tid=last))


def test_vend_refuses_an_expired_key_from_its_first_minute(module: SecurityModule) -> None:
    first = TokenIdentifier(EXPIRED.attributes.ken + 1 << 16)
    with pytest.raises(KeyExpiredError) as refused:
        module.vend(register_of(EXPIRED), replace(CREDIT, tid=first))
    assert refused.value.facts == {"register": "201458/1/DUTK", "ken": 10}


def test_vend_refuses_a_retired_key(module: SecurityModule) -> None:
    with pytest.raises(KeyRetiredError):
        module.vend(register_of(RETIRED), CREDIT)


def test_vend_refuses_a_demonstration_key(module: SecurityModule) -> None:
    with pytest.raises(DemoKeyRefusedError):
        module.vend(register_of(DEMO), CREDIT)


def test_vend_issues_under_a_demonstration_key_where_it_is_allowed(
    demo_module: SecurityModule,
) -> None:
    assert demo_module.vend(register_of(DEMO), CREDIT)
    assert demo_module.vend(register_of(DUTK_2014), CREDIT) == "70630503470028726114"


def test_vend_refuses_a_default_key(module: SecurityModule) -> None:
    with pytest.raises(MeterConfigurationError, match="default key"):
        module.vend(register_of(DDTK_2014), CREDIT)


def test_vend_refuses_a_tid_of_another_base_date(module: SecurityModule) -> None:
    with pytest.raises(MeterConfigurationError, match="base date"):
        module.vend(register_of(DUTK_2014), replace(CREDIT, base_date=BaseDate.Y1993))


@pytest.mark.parametrize(
    ("key", "change", "sts_code"),
    [
        (DUTK_1993, {"ea": MISTY1, "base_date": BaseDate.Y1993}, "sts_unsupported"),
        (DCTK_2014, {}, "sts_unsupported"),
    ],
    ids=["EA11 with DKGA02", "DCTK with DKGA04"],
)
def test_vend_refuses_a_meter_whose_settings_do_not_fit(
    module: SecurityModule, key: KeyImport, change: dict[str, Any], sts_code: str
) -> None:
    request = replace(CREDIT, **change)
    with pytest.raises(MeterConfigurationError) as refused:
        module.vend(register_of(key), request)
    assert refused.value.facts == {"sts_code": sts_code}


@pytest.mark.parametrize(
    ("change", "sts_code"),
    [
        ({"units": 18_201_625}, "sts_amount_too_large"),
        ({"units": -1}, "sts_amount_negative"),
        ({"rnd": 16}, "sts_field_range"),
    ],
)
def test_vend_refuses_a_value_that_no_token_carries(
    module: SecurityModule, change: dict[str, Any], sts_code: str
) -> None:
    request = replace(CREDIT, **change)
    with pytest.raises(TokenValueError) as refused:
        module.vend(register_of(DUTK_2014), request)
    assert refused.value.facts == {"sts_code": sts_code}


def test_vend_many_gives_each_request_its_own_outcome(module: SecurityModule) -> None:
    outcomes = module.vend_many(
        [
            (register_of(DUTK_2014), CREDIT),
            (register_of(DEMO), CREDIT),
            (register_of(DUTK_2014), replace(CREDIT, units=-1)),
            (register_of(DUTK_2014), replace(CREDIT, units=2)),
        ]
    )
    codes = [one.code if isinstance(one, VendingError) else "token" for one in outcomes]
    assert codes == ["token", "demo_key_refused", "token_value_refused", "token"]
    assert outcomes[0] == "70630503470028726114"


def test_vend_many_of_nothing_is_nothing(module: SecurityModule) -> None:
    assert module.vend_many([]) == []


# --- management --------------------------------------------------------------------------------
def test_manage_gives_the_published_token(module: SecurityModule) -> None:
    tid = TokenIdentifier.at(datetime(2024, 3, 28, 9, 1, tzinfo=UTC), BaseDate.Y2014)
    request = managed(power_limit(tid))
    assert module.manage(register_of(DUTK_2014), request) == "68961683064326234122"


def test_manage_gives_the_published_meter_test(module: SecurityModule) -> None:
    request = managed(InitiateMeterTest(control=0xFFFFFFFFF))
    assert module.manage(register_of(DUTK_2014), request) == "56493153725450313471"


def test_manage_serves_a_meter_on_a_default_key(module: SecurityModule) -> None:
    clear = ClearCredit(rnd=5, tid=TID_2014, register=CreditRegister.ALL)
    assert module.manage(register_of(DDTK_2014), managed(clear))


def test_manage_never_issues_credit(module: SecurityModule) -> None:
    credit = TransferCredit(resource=Resource.ELECTRICITY, rnd=5, tid=TID_2014, units=1)
    request = managed(credit)  # type: ignore[arg-type]  # what the guard is for
    with pytest.raises(TokenKindError, match="TransferCredit"):
        module.manage(register_of(DUTK_2014), request)


@pytest.mark.parametrize(
    ("key", "refusal"),
    [
        (EXPIRED, KeyExpiredError),
        (RETIRED, KeyRetiredError),
        (DEMO, DemoKeyRefusedError),
        (DUTK_2035, MeterConfigurationError),
    ],
    ids=["expired", "retired", "demo", "base date"],
)
def test_manage_refuses_a_key_that_does_not_serve(
    module: SecurityModule, key: KeyImport, refusal: type[VendingError]
) -> None:
    late = TokenIdentifier(EXPIRED.attributes.ken + 1 << 16)
    with pytest.raises(refusal):
        module.manage(register_of(key), managed(power_limit(late)))


# --- key change --------------------------------------------------------------------------------
@pytest.mark.parametrize("vector", KEY_CHANGE_VECTORS)
def test_change_key_gives_the_published_set(module: SecurityModule, vector: str) -> None:
    (old, new, request), tokens = KEY_CHANGE_VECTORS[vector]
    assert module.change_key(register_of(old), register_of(new), request) == tokens


def test_change_key_many_answers_each_in_its_order_as_asked_alone(module: SecurityModule) -> None:
    asked = [
        (register_of(DUTK_2014), register_of(DUTK_2014), KEY_CHANGE),
        (register_of(DUTK_2014), register_of(EXPIRED), KEY_CHANGE),
        (register_of(RETIRED), register_of(DUTK_2014), KEY_CHANGE),
        (register_of(DUTK_2014), register_of(DCTK_2014), KEY_CHANGE),
    ]
    first, expired, third, common = module.change_key_many(asked)
    assert first == module.change_key(*asked[0])
    assert isinstance(expired, KeyExpiredError)
    assert third == module.change_key(*asked[2])
    assert isinstance(common, VendingError)
    assert module.change_key_many([]) == []


@pytest.mark.parametrize("old", [EXPIRED, RETIRED], ids=["expired", "retired"])
def test_change_key_leads_away_from_a_key_that_issues_no_more(
    module: SecurityModule, old: KeyImport
) -> None:
    assert len(module.change_key(register_of(old), register_of(DUTK_2014), KEY_CHANGE)) == 2


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        (DUTK_2014, EXPIRED, KeyExpiredError),
        (DUTK_2014, RETIRED, KeyRetiredError),
        (DUTK_2014, DEMO, DemoKeyRefusedError),
        (DEMO, DUTK_2014, DemoKeyRefusedError),
        (DUTK_1993, DCTK_1993, KeyExpiredError),
    ],
    ids=["to expired", "to retired", "to demo", "from demo", "to 1993 after 2024"],
)
def test_change_key_refuses_a_key_that_does_not_serve(
    module: SecurityModule, old: KeyImport, new: KeyImport, refusal: type[VendingError]
) -> None:
    with pytest.raises(refusal):
        module.change_key(register_of(old), register_of(new), KEY_CHANGE)


@pytest.mark.parametrize(
    ("old", "tct", "sts_code"),
    [
        (DUTK_1993, TokenCarrierType.MAGNETIC_CARD, "sts_key_type_change"),
        (DCTK_1993, TokenCarrierType.NUMERIC, "sts_carrier"),
    ],
)
def test_change_key_refuses_a_change_of_type_that_the_rules_forbid(
    module: SecurityModule, old: KeyImport, tct: TokenCarrierType, sts_code: str
) -> None:
    request = replace(KEY_CHANGE, tct=tct, issued_at=datetime(2010, 1, 1, tzinfo=UTC))
    with pytest.raises(KeyChangeError) as refused:
        module.change_key(register_of(old), register_of(DCTK_1993), request)
    assert refused.value.facts == {"sts_code": sts_code}


# --- verify and describe -----------------------------------------------------------------------
def test_verify_reads_the_credit_that_was_issued(module: SecurityModule) -> None:
    request = VerifyRequest(pan=METER, ti=TI("01"), ea=STA, digits="70630503470028726114")
    assert module.verify(register_of(DUTK_2014), request) == TransferCredit(
        resource=Resource.ELECTRICITY, rnd=5, tid=TID_2014, units=1
    )


@pytest.mark.parametrize(
    ("digits", "result"),
    [
        ("70630503470028726115", AuthenticationResult.CRC_ERROR),
        ("7063050347002872611", TokenResult.FORMAT_ERROR),
        ("99999999999999999999", TokenResult.FORMAT_ERROR),
        ("not twenty digits !!", TokenResult.FORMAT_ERROR),
    ],
)
def test_verify_answers_what_the_meter_would(
    module: SecurityModule, digits: str, result: TokenResult | AuthenticationResult
) -> None:
    request = VerifyRequest(pan=METER, ti=TI("01"), ea=STA, digits=digits)
    assert module.verify(register_of(DUTK_2014), request) == Rejection(result)


@pytest.mark.parametrize("vector", ["EA07-CTSA05-2", "EA11-CTSA05-2"])
def test_verify_shows_no_key_out_of_a_key_change(module: SecurityModule, vector: str) -> None:
    (old, _, request), tokens = KEY_CHANGE_VECTORS[vector]
    shown = [
        module.verify(
            register_of(old),
            VerifyRequest(pan=METER, ti=request.ti, ea=request.ea, digits=token),
        )
        for token in tokens
    ]
    sections = [answer for answer in shown if isinstance(answer, KeyChangeSection)]
    assert [section.section for section in sections] == list(range(1, len(tokens) + 1))
    told = {line.label: line.value for section in sections for line in section.told}
    assert told["key revision number (KRN)"] == "6"
    assert told["base date changes (RO)"] == "yes"
    assert told["tariff index (TI)"] == "02"
    parts = [value for label, value in told.items() if label.startswith("new key")]
    assert parts == ["key material, not shown"] * len(tokens)


def test_verify_serves_under_a_retired_key(module: SecurityModule) -> None:
    request = VerifyRequest(pan=METER, ti=TI("01"), ea=STA, digits="70630503470028726114")
    answer = module.verify(register_of(RETIRED), request)
    assert answer == Rejection(AuthenticationResult.CRC_ERROR)


def test_verify_refuses_a_demonstration_key(module: SecurityModule) -> None:
    request = VerifyRequest(pan=METER, ti=TI("01"), ea=STA, digits="70630503470028726114")
    with pytest.raises(DemoKeyRefusedError):
        module.verify(register_of(DEMO), request)


def test_describe_shows_attributes_and_check_value(module: SecurityModule, name: str) -> None:
    shown = module.describe(register_of(DUTK_1993))
    assert shown.attributes == DUTK_1993.attributes
    assert len(shown.check_value) == (0 if name in TELLS_NO_CHECK_VALUE else 6)
    assert shown.component_count == (0 if name in TELLS_NO_CHECK_VALUE else 2)
    assert not shown.is_demo
    assert shown.retired_at is None


def test_describe_marks_demonstration_and_retired_keys(module: SecurityModule) -> None:
    assert module.describe(register_of(DEMO)).is_demo
    assert module.describe(register_of(RETIRED)).retired_at is not None


def test_describe_refuses_a_key_it_does_not_have(module: SecurityModule) -> None:
    with pytest.raises(KeyNotFoundError):
        module.describe(KeyReference(SGC("000000"), 1, KeyType.DUTK))


def test_module_says_whether_it_may_be_asked_inside_a_transaction(
    module: SecurityModule, name: str
) -> None:
    assert module.is_local == (name == "software")
