"""The forms of signing in and of operators, with examples; they decide nothing."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from vending.api.schemas import ID_EXAMPLE, RecordId
from vending.operators.permissions import Role

TEXT_LENGTH_MAX: Final = 1024
TICKET_EXAMPLE: Final = "ot_" + "5e" * 32
CODE_EXAMPLE: Final = "K7QM-2XRD-T5WB-6HCF-L3VN-4PYA"

Instant = Annotated[str, Field(examples=["2026-11-25T08:00:00+00:00"])]
LoginName = Annotated[str, Field(min_length=1, max_length=64, examples=["amina"])]
Ticket = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        description="As the first step gave it; good once, for five minutes",
        examples=[TICKET_EXAMPLE],
    ),
]
Secret = Annotated[
    SecretStr, Field(min_length=1, max_length=TEXT_LENGTH_MAX, examples=["lamp river cedar 71"])
]
Code = Annotated[
    SecretStr,
    Field(
        min_length=1,
        max_length=64,
        description="Six digits of the app, or a recovery code",
        examples=["492039"],
    ),
]
Label = Annotated[str, Field(min_length=1, max_length=60, examples=["work phone"])]
Person = Annotated[
    str,
    Field(
        min_length=1,
        max_length=120,
        description="Whose account it is: two accounts of one person count as one",
        examples=["S-1042 Amina Wanjiru"],
    ),
]
Credential = Annotated[
    dict[str, Any], Field(description="What `PublicKeyCredential.toJSON()` gives")
]
Keep = Annotated[
    Literal["token", "cookie"],
    Field(
        description="`token`: the session's token is in the answer; `cookie`: it is set as a "
        "cookie that no script can read, and is not in the answer"
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- signing in ----------------------------------------------------------------------------------
class SignInIn(_Request):
    """The first factor."""

    name: LoginName
    password: Secret


class CodeIn(_Request):
    """A step that a code finishes."""

    ticket: Ticket
    code: Code
    keep: Keep = "token"


class PasskeyIn(_Request):
    """A step that a passkey finishes."""

    ticket: Ticket
    credential: Credential
    keep: Keep = "token"


class OpenIDIn(_Request):
    """What the browser came back with from the provider."""

    ticket: Ticket
    code: Annotated[SecretStr, Field(min_length=1, max_length=4096, examples=["SplxlOBeZQQYbYS6"])]
    state: Annotated[str, Field(min_length=1, max_length=200, examples=["af0ifjsldkj"])]
    iss: Annotated[str | None, Field(max_length=500, examples=["https://login.example.org"])] = None
    keep: Keep = "token"


class ActivationIn(_Request):
    """The code an administrator handed over, and the password its holder chooses."""

    code: Annotated[SecretStr, Field(min_length=1, max_length=64, examples=[CODE_EXAMPLE])]
    password: Secret


class TicketOut(_Answer):
    """Leads to the next step."""

    ticket: Ticket


class PasskeyBegunOut(TicketOut):
    """What a passkey signs."""

    options: Annotated[dict[str, Any], Field(description="For `navigator.credentials`, as JSON")]


class OpenIDBegunOut(TicketOut):
    """Where the browser goes."""

    url: Annotated[str, Field(examples=["https://login.example.org/authorize?client_id=vending"])]


class EnrolmentOut(TicketOut):
    """What an authenticator app takes in; shown once."""

    secret: Annotated[str, Field(examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])]
    uri: Annotated[
        str,
        Field(
            description="For a QR code", examples=["otpauth://totp/Utility:amina?secret=JBSWY3DP"]
        ),
    ]


class ActivationOut(EnrolmentOut):
    """Goes on with the app's first code."""

    name: LoginName


class SignedInOut(_Answer):
    """An open session."""

    name: LoginName
    roles: Annotated[list[Role], Field(examples=[["cashier"]])]
    ends_at: Instant
    fresh_until: Instant
    token: Annotated[
        str | None,
        Field(description="Shown once; None: it is in the cookie", examples=["os_" + "c3" * 32]),
    ]
    device_token: Annotated[
        str | None,
        Field(
            description="The device keeps it, and sends it as X-Office-Device when it signs in "
            "again; None: the device was known, or it is in the cookie",
            examples=["od_" + "7a" * 32],
        ),
    ]


class ActivatedOut(SignedInOut):
    """An active account; each recovery code stands in for the app once."""

    recovery_codes: Annotated[list[str], Field(examples=[[CODE_EXAMPLE]])]


# --- one's own account ---------------------------------------------------------------------------
class ConfirmationIn(_Request):
    """A second factor, given again."""

    code: Code


class PasskeyAnswerIn(_Request):
    """A step in a session that a passkey finishes."""

    ticket: Ticket
    credential: Credential


class AppAnswerIn(_Request):
    """A step in a session that the first code of an app finishes."""

    ticket: Ticket
    code: Code


class LinkIn(_Request):
    """What the browser came back with from the provider."""

    ticket: Ticket
    code: Annotated[SecretStr, Field(min_length=1, max_length=4096, examples=["SplxlOBeZQQYbYS6"])]
    state: Annotated[str, Field(min_length=1, max_length=200, examples=["af0ifjsldkj"])]
    iss: Annotated[str | None, Field(max_length=500, examples=["https://login.example.org"])] = None


class PasswordIn(_Request):
    """The present password, and the one to come."""

    present: Secret
    new: Secret


class LabelIn(_Request):
    """By what its holder tells an authenticator from others."""

    label: Label


class AuthenticatorOut(_Answer):
    """A second factor."""

    id: RecordId
    kind: Literal["totp", "passkey"]
    label: Label
    added_at: Instant
    used_at: Annotated[str | None, Field(examples=["2026-11-25T08:05:00+00:00"])]


class OwnAccountOut(_Answer):
    """Who is signed in, and what they may do."""

    id: RecordId
    name: LoginName
    person: Person
    roles: Annotated[list[Role], Field(examples=[["cashier"]])]
    permissions: Annotated[list[str], Field(examples=[["sales.read"]])]
    fresh_until: Instant
    authenticators: list[AuthenticatorOut]
    recovery_codes_left: Annotated[int, Field(examples=[10])]


class SessionOut(_Answer):
    """One of the operator's own sessions."""

    id: RecordId
    is_this: bool
    method: Literal["totp", "passkey", "recovery-code", "openid", "activation"]
    source: Annotated[str, Field(examples=["192.0.2.10"])]
    device_id: Annotated[str | None, Field(examples=[ID_EXAMPLE])]
    opened_at: Instant
    seen_at: Instant
    ends_at: Instant


class SessionsOut(_Answer):
    """The operator's own sessions, the newest first."""

    sessions: list[SessionOut]


class EndedOut(_Answer):
    """How many sessions ended."""

    ended: Annotated[int, Field(examples=[2])]


class RecoveryCodesOut(_Answer):
    """Fresh recovery codes, shown once."""

    recovery_codes: Annotated[list[str], Field(examples=[[CODE_EXAMPLE]])]


class DoneOut(_Answer):
    """It is done."""

    done: Literal[True]


# --- operators -----------------------------------------------------------------------------------
class OperatorIn(_Request):
    """Somebody to be taken on."""

    name: LoginName
    person: Person


class RolesIn(_Request):
    """Exactly the roles that the operator shall have."""

    roles: Annotated[
        list[Annotated[Role, Field(strict=False)]], Field(examples=[["finance", "auditor"]])
    ]


class RoleProposalIn(RolesIn):
    """Roles to be approved by another person."""

    reason: Annotated[
        str, Field(min_length=1, max_length=400, examples=["moves to finance in December"])
    ]


class RoleChangeIn(RolesIn):
    """Roles that another person approved."""

    approval_id: Annotated[UUID, Field(strict=False, examples=[ID_EXAMPLE])]


class OperatorOut(_Answer):
    """An account."""

    id: RecordId
    name: LoginName
    person: Person
    state: Literal["invited", "active", "locked"]
    roles: Annotated[list[Role], Field(examples=[["cashier"]])]
    created_at: Instant


class OperatorsOut(_Answer):
    """A page of operators, in the order of their names."""

    operators: list[OperatorOut]


class InvitationOut(_Answer):
    """An account that waits for its holder."""

    operator: OperatorOut
    code: Annotated[
        str, Field(description="Handed to its holder; shown once", examples=[CODE_EXAMPLE])
    ]
    ends_at: Instant


class ProposalOut(_Answer):
    """What waits for the other person."""

    approval_id: RecordId
    expires_at: Instant
