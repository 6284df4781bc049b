"""What a security module outside this process answers instead of a token, and what that means.

ModuleError                      (vending.keystore.errors)
├── ModuleBusyError                  too many wait for it: nothing was asked
├── ModuleRegisterMismatchError      a register holds another key than the settings say
├── ModuleWrongTokenError            a token that does not say what was asked for: kept back
├── ModuleStatusUnknownError         a status that nobody explains: outcome unknown
├── ModuleChecksumError              it heard a damaged request: nothing was issued
└── ModuleRefusedError               it said no; each status has its class
    ├── ModuleHeaderError 21, ModuleRecordError 22, ModulePayloadError 23
    ├── ModuleFieldError 24, ModuleLuhnError 25, ModuleGenerationError 26
    ├── ModuleKekError 27, ModuleRegisterMissingError 28
    ├── ModuleKeyLoadError 30, ModuleKeyAuthenticationError 31
    ├── ModuleInhibitedError 40, ModuleKeyExpiredError 41, ModuleClockWindowError 42
    ├── ModuleLimitError 43, ModuleKeyChangeRuleError 44
    └── ModuleClockNotSetError 50, ModulePermissionError 98
ModuleSettingError               the settings of the module contradict each other
TokenDeviceError                 a PKCS#11 token
├── TokenLibraryError                the library or the Python package is not there
├── TokenMissingError                no token of that label
├── TokenPinError                    the PIN was refused once; it is not tried again
├── TokenKeyMissingError             a key that the store names is not in the token
└── KeyInTokenError                  a key of a token was asked of the software module
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from vending.errors import ErrorKind, Outcome, VendingError
from vending.keystore.errors import KeyRefusedError, ModuleError
from vending.sts.module_messages import ModuleStatus


class ModuleBusyError(ModuleError):
    """As many requests wait for the module as it can answer soon; this one was not asked."""

    kind = ErrorKind.UNAVAILABLE
    code = "security_module_busy"
    remedy = "Ask again in a moment; a second module line serves more sales a second."

    def __init__(self) -> None:
        super().__init__("too many requests wait for the security module")


class ModuleRegisterMismatchError(ModuleError):
    """The module holds another key in a register than the settings say: nothing is minted."""

    kind = ErrorKind.REFUSED
    code = "module_register_mismatch"
    remedy = "Compare VENDING_MODULE_REGISTERS with the module's registers, and correct one."
    retryable: ClassVar[bool] = False

    def __init__(self, register: str, *, number: int) -> None:
        super().__init__(
            f"register {number} of the security module does not hold {register}",
            register=register,
            number=number,
        )


class ModuleWrongTokenError(ModuleError):
    """What the module made does not say what was asked for; nobody saw it."""

    kind = ErrorKind.UNAVAILABLE
    code = "module_wrong_token"
    outcome = Outcome.UNKNOWN
    remedy = "Have the security module and its line checked; the same request may be repeated."

    def __init__(self) -> None:
        super().__init__("the security module's token does not read back as what was asked for")


class ModuleStatusUnknownError(ModuleError):
    """The module answered with a status that does not say whether a token was made."""

    kind = ErrorKind.UNAVAILABLE
    code = "module_status_unknown"
    outcome = Outcome.UNKNOWN
    remedy = "Look up the status in the module's manual; the same request may be repeated."

    def __init__(self, status: str, *, meaning: str) -> None:
        super().__init__(
            f"the security module answered with status {status}: {meaning}", status=status
        )


class ModuleChecksumError(ModuleError):
    """The request reached the module damaged, so nothing was issued."""

    kind = ErrorKind.UNAVAILABLE
    code = "module_checksum"
    remedy = "Check cable and grounding of the module's line; the same request may be repeated."

    def __init__(self, status: str) -> None:
        super().__init__("the security module heard a damaged request", status=status)


class ModuleRefusedError(ModuleError):
    """The module said no, for a reason that stays: nothing was issued."""

    kind = ErrorKind.REFUSED
    retryable: ClassVar[bool] = False
    status: ClassVar[ModuleStatus]

    def __init__(self) -> None:
        super().__init__(
            f"the security module refused: {self.status.meaning}", status=self.status.code
        )


class ModuleHeaderError(ModuleRefusedError):
    """The module does not know this command."""

    code = "module_command_unknown"
    status = ModuleStatus.UNKNOWN_HEADER
    remedy = "Ask the module's maker for firmware with STS 600-8-6 vending commands."


class ModuleRecordError(ModuleRefusedError):
    """The module found the request empty."""

    code = "module_record_empty"
    status = ModuleStatus.RECORD_EMPTY
    remedy = "Ask the module's maker which edition of STS 600-8-6 its firmware follows."


class ModulePayloadError(ModuleRefusedError):
    """The module expects other fields."""

    code = "module_payload_format"
    status = ModuleStatus.PAYLOAD_FORMAT
    remedy = "Ask the module's maker which edition of STS 600-8-6 its firmware follows."


class ModuleFieldError(ModuleRefusedError):
    """The module does not take the value of a field."""

    code = "module_field_value"
    status = ModuleStatus.FIELD_VALUE
    remedy = "Compare the meter's settings with its label, and the amount with the module's manual."


class ModuleLuhnError(ModuleRefusedError):
    """The module finds the check digit of the meter number wrong."""

    code = "module_luhn"
    status = ModuleStatus.LUHN
    remedy = "Compare the meter number with the meter's face, digit by digit."


class ModuleGenerationError(ModuleRefusedError):
    """The module could not make the token."""

    code = "module_generation_failed"
    status = ModuleStatus.GENERATION_FAILED
    remedy = "Compare the meter's algorithm with the key of its register; see the module's log."


class ModuleKekError(ModuleRefusedError):
    """The module has lost the key that protects its vending keys."""

    code = "module_kek_missing"
    status = ModuleStatus.KEK_NOT_FOUND
    remedy = "Have the module's key custodians load its keys again."


class ModuleRegisterMissingError(ModuleRefusedError):
    """The module has no key in the register."""

    code = "module_register_empty"
    status = ModuleStatus.REGISTER_NOT_FOUND
    remedy = "Load the vending key into the module, or correct VENDING_MODULE_REGISTERS."


class ModuleKeyLoadError(ModuleRefusedError):
    """The key of the register did not load."""

    code = "module_key_load"
    status = ModuleStatus.KEY_LOAD
    remedy = "Have the key custodians load the key file again."


class ModuleKeyAuthenticationError(ModuleRefusedError):
    """The key of the register did not load."""

    code = "module_key_load_refused"
    status = ModuleStatus.KEY_LOAD_AUTHENTICATION
    remedy = "Ask the key management centre for a key file addressed to this module."


class ModuleInhibitedError(ModuleRefusedError):
    """Vending was switched off in the module."""

    code = "module_vending_inhibited"
    status = ModuleStatus.VENDING_INHIBITED
    remedy = "Have the module's operator switch vending on again."


class ModuleKeyExpiredError(ModuleRefusedError):
    """The module finds the key expired."""

    code = "module_key_expired"
    status = ModuleStatus.KEY_EXPIRED
    remedy = "Obtain the next key revision and change the meters' keys to it."


class ModuleClockWindowError(ModuleRefusedError):
    """The token identifier lies outside the window around the module's clock."""

    code = "module_tid_window"
    status = ModuleStatus.TID_OUTSIDE_WINDOW
    remedy = "Compare the module's clock with this machine's, and set the wrong one."


class ModuleLimitError(ModuleRefusedError):
    """The module's vending counter has run out."""

    code = "module_limit_exceeded"
    status = ModuleStatus.LIMIT_EXCEEDED
    remedy = "Have the key custodians load a new vending limit into the module."


class ModuleKeyChangeRuleError(ModuleRefusedError):
    """The module does not allow this change of key."""

    code = "module_key_change_rule"
    status = ModuleStatus.KEY_CHANGE_RULE
    remedy = "Choose a new key of a type that the old one may become."


class ModuleClockNotSetError(ModuleRefusedError):
    """The module's clock was not set."""

    code = "module_clock_not_set"
    status = ModuleStatus.CLOCK_NOT_SET
    remedy = "Have the module's operator set its clock."


class ModulePermissionError(ModuleRefusedError):
    """The module does not let this host use the command."""

    code = "module_permission"
    status = ModuleStatus.PERMISSION
    remedy = "Have the module's operator allow this host vending, verifying and key changes."


STATUS_REFUSALS: Final[Mapping[str, type[ModuleRefusedError]]] = MappingProxyType(
    {
        refusal.status.code: refusal
        for refusal in (
            ModuleHeaderError,
            ModuleRecordError,
            ModulePayloadError,
            ModuleFieldError,
            ModuleLuhnError,
            ModuleGenerationError,
            ModuleKekError,
            ModuleRegisterMissingError,
            ModuleKeyLoadError,
            ModuleKeyAuthenticationError,
            ModuleInhibitedError,
            ModuleKeyExpiredError,
            ModuleClockWindowError,
            ModuleLimitError,
            ModuleKeyChangeRuleError,
            ModuleClockNotSetError,
            ModulePermissionError,
        )
    }
)
"""The refusal of each status that says for sure that nothing was issued."""


def refusal_of(status: str, *, meaning: str) -> ModuleError:
    """Return what a status on the line means for the request."""
    if status == ModuleStatus.CHECKSUM.code:
        return ModuleChecksumError(status)
    refusal = STATUS_REFUSALS.get(status)
    return refusal() if refusal is not None else ModuleStatusUnknownError(status, meaning=meaning)


class ModuleSettingError(VendingError):
    """The settings of the security module are missing, or contradict each other."""

    kind = ErrorKind.INVALID
    code = "module_setting"
    remedy = "Correct the setting that the message names; docs/guide/security-modules.md has each."

    def __init__(self, setting: str, *, problem: str) -> None:
        super().__init__(f"{setting}: {problem}", setting=setting, problem=problem)


class TokenDeviceError(ModuleError):
    """A PKCS#11 token cannot be used as it is."""

    kind = ErrorKind.UNAVAILABLE
    retryable: ClassVar[bool] = False


class TokenLibraryError(TokenDeviceError):
    """The library of the token's maker, or the Python package that speaks to it, is missing."""

    code = "pkcs11_library"
    remedy = (
        "Install the extra with `pip install prepaid-vending[pkcs11]`, and name the maker's "
        "library with VENDING_PKCS11_LIBRARY."
    )

    def __init__(self, problem: str) -> None:
        super().__init__(f"the PKCS#11 library cannot be used: {problem}", problem=problem)


class TokenMissingError(TokenDeviceError):
    """The library shows no token of this label, or more than one."""

    code = "pkcs11_token_missing"
    remedy = "Plug the token in, or correct its label in VENDING_PKCS11_TOKEN."

    def __init__(self, label: str, *, count: int) -> None:
        super().__init__(f"{count} tokens are labelled {label!r}", label=label, count=count)


class TokenPinError(TokenDeviceError):
    """The token refused the PIN; trying again would lock it, so nothing does."""

    kind = ErrorKind.FORBIDDEN
    code = "pkcs11_pin_refused"
    remedy = "Correct VENDING_PKCS11_PIN_FILE, then start again: a token locks after a few tries."

    def __init__(self, problem: str) -> None:
        super().__init__(f"the token refused its PIN: {problem}", problem=problem)


class TokenKeyMissingError(TokenDeviceError):
    """The key store names a key that is not in the token."""

    kind = ErrorKind.REFUSED
    code = "pkcs11_key_missing"
    remedy = "Use the token that the key was brought into, or restore its backup."

    def __init__(self, name: str) -> None:
        super().__init__(f"the token does not hold the key {name}", name=name)


class KeyInTokenError(KeyRefusedError):
    """The key lies in a PKCS#11 token, and the software module was asked for it."""

    code = "key_in_token"
    remedy = "Set VENDING_SECURITY_MODULE=pkcs11, and plug in the token of this key store."

    def __init__(self, register: str) -> None:
        super().__init__(f"vending key {register} lies in a PKCS#11 token", register=register)
