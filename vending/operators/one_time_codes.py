"""One-time codes: of an authenticator app (TOTP), for recovery, and for activation.

TOTP is RFC 6238 with its defaults, the only ones that every app knows: SHA-1, 6 digits, 30
seconds. A code of the present step, the one before or the one after is right (5.2), once: a step
at or below the last one used is refused (OWASP ASVS 5, 6.5.1). Recovery and activation codes have
120 random bits, so that one SHA-256 suffices to store them (6.5.2).
"""

import base64
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyotp

STEP_S: Final = 30
STEPS_APART_MAX: Final = 1
"""The clocks of two machines, and the time it takes to type."""
TOTP_SECRET_BYTES: Final = 20
"""RFC 4226, 4: 160 bits are recommended."""
CODE_BYTES: Final = 15
RECOVERY_CODE_COUNT: Final = 10
NO_STEP: Final = -1
"""The last step of a secret that was never used."""

_TOTP_CODE: Final = re.compile(r"[0-9]{6}")
_CODE: Final = re.compile(r"[A-Z2-7]{24}")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What an authenticator app takes in, shown once."""

    secret: str
    """32 characters of base32."""
    uri: str
    """The same as `otpauth://`, for a QR code."""


class WrongCode(Exception):  # noqa: N818 # an outcome inside this feature, never an answer
    """The code is wrong; `is_reused`: it was right, and used before."""

    def __init__(self, *, is_reused: bool) -> None:
        super().__init__("wrong or used code")
        self.is_reused = is_reused


def make_totp_secret() -> str:
    """Return a fresh secret: 160 random bits as base32."""
    return base64.b32encode(secrets.token_bytes(TOTP_SECRET_BYTES)).decode()


def describe_enrolment(secret: str, *, account: str, issuer: str) -> Enrolment:
    """Return what the app of an account takes in."""
    uri = pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)
    return Enrolment(secret, uri)


def accept_totp_code(secret: str, code: str, *, now: datetime, last_step: int) -> int:
    """Return the step of a right code, to be stored as the last one used.

    Raises:
        WrongCode: It is malformed, wrong, of another time, or of a step at or before `last_step`.
    """
    digits = code.replace(" ", "")
    if _TOTP_CODE.fullmatch(digits) is None:
        raise WrongCode(is_reused=False)
    present = int(now.timestamp()) // STEP_S
    totp = pyotp.TOTP(secret)
    steps = range(max(0, present - STEPS_APART_MAX), present + STEPS_APART_MAX + 1)
    right = [step for step in steps if hmac.compare_digest(totp.at(step * STEP_S), digits)]
    unused = [step for step in right if step > last_step]
    if not unused:
        raise WrongCode(is_reused=bool(right))
    return unused[0]


def make_code() -> str:
    """Return a fresh recovery or activation code: 6 groups of 4 characters of base32."""
    text = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def parse_code(presented: str) -> str:
    """Return a recovery or activation code in the form that is stored as a digest.

    Raises:
        WrongCode: It has not the form of one.
    """
    text = presented.upper().replace("-", "").replace(" ", "")
    if _CODE.fullmatch(text) is None:
        raise WrongCode(is_reused=False)
    return text
