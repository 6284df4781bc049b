"""A security module on a serial line, which holds the vending keys itself (STS 600-8-6).

Each vending key lies in a numbered register of the module. What a register must hold stands in
the settings; the module is asked when the line opens, and again for each token: a register that
answers as another is not used. Each token is read back by the module before it leaves here: it
must carry the class, the TID and the amount that were asked for, under the same register and for
the same meter. So an answer to another request, from another register or for another meter comes
to nothing.

The module chooses the 4 random bits itself. A repeat may therefore give other digits, with the
same TID: of two such tokens the meter takes one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Final

from vending.errors import VendingError
from vending.keystore.errors import (
    KeyNotFoundError,
    ModuleAnswerLostError,
    ModuleError,
    ModuleUnavailableError,
)
from vending.keystore.model import KeyDescription, KeyReference
from vending.keystore.module_errors import (
    ModuleChecksumError,
    ModuleFieldError,
    ModuleLuhnError,
    ModuleRegisterMismatchError,
    ModuleWrongTokenError,
    refusal_of,
)
from vending.keystore.module_line import LineConfusedError, ModuleLine
from vending.keystore.port import (
    CreditTokenRequest,
    KeyChange,
    KeyChangeOutcome,
    KeyChangeRequest,
    ManagementTokenRequest,
    VendOutcome,
    VerifiedToken,
    VerifyRequest,
    change_keys_one_by_one,
)
from vending.keystore.serving import (
    as_shown,
    build_credit,
    require_change,
    require_issuing,
    require_known,
    require_management,
)
from vending.keystore.translation import guarded
from vending.sts import errors as sts
from vending.sts import module_messages as messages
from vending.sts.apdu import decode_fields, fields_of
from vending.sts.bits import Bits16, class_of
from vending.sts.codec import decode, encode
from vending.sts.coding import KEY_PART_SIZE_BYTES
from vending.sts.key_change import SECTION_COUNTS, build_sections, describe_key_change
from vending.sts.keys import TI, DecoderKey, KeyAttributes, require_derivation
from vending.sts.results import AuthenticationResult, Rejection
from vending.sts.tcdu import TokenCarrierType, TokenDigits, from_digits
from vending.sts.tokens import (
    DATA_WIDTH,
    TID_WIDTH,
    VALUE_WIDTH,
    InitiateMeterTest,
    TokenClass,
)
from vending.values.clock import Clock

ATTEMPTS: Final = 2
"""How often one request is put to the module when its answer was damaged or another's."""
_VALUE_MASK: Final = 0xFFFF
_WITHOUT_RND: Final = (1 << TID_WIDTH + VALUE_WIDTH) - 1
_WITHOUT_KEY: Final = (1 << DATA_WIDTH) - (1 << 8 * KEY_PART_SIZE_BYTES)
_ENCRYPTED: Final = frozenset({TokenClass.CREDIT, TokenClass.MANAGEMENT})
_KEPT_BY_THE_MODULE: Final = ""

_Fields = tuple[int, int, int]
"""Class, subclass and data of a token."""
_MintRequest = (
    messages.CreditTokenRequest | messages.ManagementTokenRequest | messages.KeyChangeRequest
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSetting:
    """What the installation knows of one register."""

    number: int
    key: KeyReference
    base_year: int
    is_retired: bool = False
    is_demo: bool = False


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the tokens of an answer must say when they are read back."""

    keys: tuple[KeyReference, ...]
    """Under the first they are read; all are asked for again when they do not read so."""
    ti: TI
    fields: tuple[_Fields, ...]
    mask: int
    """The bits of the data that we know."""


class AttachedSecurityModule:
    """The port over a module on a line; one request at a time."""

    def __init__(
        self,
        line: ModuleLine,
        registers: Sequence[RegisterSetting],
        *,
        demo_allowed: bool,
        clock: Clock,
    ) -> None:
        self._line = line
        self._settings = {setting.key: setting for setting in registers}
        self._demo_allowed = demo_allowed
        self._clock = clock
        self._keys: dict[KeyReference, KeyDescription] = {}
        self._lock = Lock()

    @property
    def is_local(self) -> bool:
        """Say that it computes elsewhere."""
        return False

    @property
    def link(self) -> str:
        """Return what messages call its line."""
        return self._line.link

    def require_ready(self) -> None:
        """Take whatever comes: only asking tells; see `vending.keystore.guarded`."""

    def identify(self) -> str:
        """Return the module's name for itself.

        Raises:
            ModuleError: It did not answer.
        """
        with self._turn():
            answer = self._ask_safely(messages.IdentificationRequest())
        assert isinstance(answer, messages.IdentificationAnswer)
        return answer.identification

    def check_registers(self) -> dict[RegisterSetting, KeyDescription | ModuleError]:
        """Return what each register of the settings holds, or why it cannot be used."""
        return {setting: self._checked(setting) for setting in self._settings.values()}

    @guarded
    def vend(self, register: KeyReference, request: CreditTokenRequest) -> TokenDigits:
        """Return the credit token, read back.

        Raises:
            KeyRefusedError: The key is not the module's, retired, expired or for demonstration.
            TokenRequestError: The meter's settings or the amount do not fit.
            ModuleError: The module refused, or did not answer; see its outcome.
        """
        with self._turn():
            key = self._issuing(register)
            asked = fields_of(build_credit(key, request))
            line_request = messages.CreditTokenRequest(
                register=self._settings[register].number,
                pan=request.pan,
                ti=request.ti,
                ea=request.ea,
                tct=TokenCarrierType.NUMERIC,
                subclass=asked[1],
                amount=Bits16(asked[2] & _VALUE_MASK),
                tid=request.tid,
            )
            wanted = _Wanted((register,), request.ti, (asked,), _WITHOUT_RND)
            return self._mint(line_request, wanted)[0]

    def vend_many(
        self, requests: Sequence[tuple[KeyReference, CreditTokenRequest]]
    ) -> list[VendOutcome]:
        """Return what became of each request, in their order; no refusal stops the others."""
        return [self._attempt(register, request) for register, request in requests]

    @guarded
    def manage(self, register: KeyReference, request: ManagementTokenRequest) -> TokenDigits:
        """Return the management token, read back; a meter test needs no key and no module.

        Raises:
            KeyRefusedError: The key is not the module's, retired, expired or for demonstration.
            TokenRequestError: The meter's settings or the token do not fit.
            ModuleError: The module refused, or did not answer; see its outcome.
        """
        with self._turn():
            key = self._issuing(register)
            require_management(key, request)
            token = request.token
            if isinstance(token, InitiateMeterTest):
                return encode(token, None)
            asked = fields_of(token)
            line_request = messages.ManagementTokenRequest(
                register=self._settings[register].number,
                pan=request.pan,
                ti=request.ti,
                ea=request.ea,
                tct=TokenCarrierType.NUMERIC,
                subclass=asked[1],
                value=Bits16(asked[2] & _VALUE_MASK),
                tid=token.tid,
            )
            wanted = _Wanted((register,), request.ti, (asked,), _WITHOUT_RND)
            return self._mint(line_request, wanted)[0]

    @guarded
    def change_key(
        self, old: KeyReference, new: KeyReference, request: KeyChangeRequest
    ) -> tuple[TokenDigits, ...]:
        """Return the key-change set, 1st section first, each section read back.

        Raises:
            KeyRefusedError: A key is not the module's or for demonstration, or the new one is
                retired or expired.
            TokenRequestError: The meter's settings or the change do not fit.
            ModuleError: The module refused, or did not answer; see its outcome.
        """
        with self._turn():
            present, following = self._known(old), self._issuing(new)
            require_change(present, following, request)
            line_request = messages.KeyChangeRequest(
                old_register=self._settings[old].number,
                new_register=self._settings[new].number,
                pan=request.pan,
                old_ti=request.ti,
                ea=request.ea,
                tct=request.tct,
                new_ti=request.new_ti,
                section_count=SECTION_COUNTS[request.ea],
            )
            sections = _sections_of(present.attributes, following.attributes, request)
            wanted = _Wanted((old, new), request.ti, sections, _WITHOUT_KEY)
            return self._mint(line_request, wanted)

    def change_key_many(self, changes: Sequence[KeyChange]) -> list[KeyChangeOutcome]:
        """Return what became of each change, in their order; no refusal stops the others."""
        return change_keys_one_by_one(self, changes)

    @guarded
    def verify(self, register: KeyReference, request: VerifyRequest) -> VerifiedToken:
        """Return what a token says under this meter's key, or why it is none.

        Raises:
            KeyRefusedError: The key is not the module's, or for demonstration.
            TokenRequestError: The meter's settings do not fit.
            ModuleError: The module refused, or did not answer; see its outcome.
        """
        with self._turn():
            key = self._known(register)
            require_derivation(key.attributes, request.ea)
            bits = from_digits(request.digits)
            if bits is None or class_of(bits) not in _ENCRYPTED:
                return as_shown(decode(request.digits, None))  # no key enters these
            line_request = messages.VerifyRequest(
                register=self._settings[register].number,
                pan=request.pan,
                ti=request.ti,
                ea=request.ea,
                tct=TokenCarrierType.NUMERIC,
                token=TokenDigits(request.digits),
            )
            try:
                answer = self._ask_safely(line_request)
            except (ModuleFieldError, ModuleLuhnError):
                return Rejection(AuthenticationResult.CRC_ERROR)
            assert isinstance(answer, messages.VerifyAnswer)
            return as_shown(decode_fields(answer.token_class, answer.subclass, answer.data))

    def describe(self, register: KeyReference) -> KeyDescription:
        """Return what the module tells of a key; its check value and components it does not.

        Raises:
            KeyNotFoundError: The settings name no register for it.
            ModuleError: The module refused, or did not answer.
        """
        with self._turn():
            return self._described(register)

    # --- keys ----------------------------------------------------------------------------------
    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Have the line for one request; ask what the registers hold if the module was away."""
        with self._lock:
            was_away = self._line.begin_turn()
            try:
                if was_away:
                    self._keys.clear()
                    for setting in self._settings.values():
                        self._examine_quietly(setting)
                yield
            finally:
                self._line.end_turn()

    def _examine_quietly(self, setting: RegisterSetting) -> None:
        """Ask for a register; one that cannot be used is asked for again when it is wanted.

        Raises:
            ModuleUnavailableError: The module does not answer.
        """
        try:
            self._examine(setting)
        except ModuleUnavailableError:
            raise
        except ModuleError:
            return

    def _described(self, register: KeyReference) -> KeyDescription:
        setting = self._settings.get(register)
        if setting is None:
            raise KeyNotFoundError(str(register))
        return self._keys.get(register) or self._examine(setting)

    def _known(self, register: KeyReference) -> KeyDescription:
        key = self._described(register)
        require_known(key, demo_allowed=self._demo_allowed)
        return key

    def _issuing(self, register: KeyReference) -> KeyDescription:
        key = self._described(register)
        require_issuing(key, demo_allowed=self._demo_allowed)
        return key

    def _examine(self, setting: RegisterSetting) -> KeyDescription:
        self._keys.pop(setting.key, None)
        answer = self._ask_safely(messages.KeyAttributesRequest(register=setting.number))
        assert isinstance(answer, messages.KeyAttributesAnswer)
        attributes = KeyAttributes(
            sgc=answer.sgc,
            kt=answer.kt,
            krn=answer.krn,
            ken=answer.ken,
            base_date=answer.base_date,
            dkga=answer.dkga,
        )
        is_it = KeyReference.of(attributes) == setting.key
        if not is_it or attributes.base_date != setting.base_year:
            raise ModuleRegisterMismatchError(str(setting.key), number=setting.number)
        now = self._clock.now()
        self._keys[setting.key] = KeyDescription(
            register=setting.key,
            attributes=attributes,
            check_value=_KEPT_BY_THE_MODULE,
            component_count=0,
            is_demo=setting.is_demo,
            imported_at=now,
            retired_at=now if setting.is_retired else None,
        )
        return self._keys[setting.key]

    def _checked(self, setting: RegisterSetting) -> KeyDescription | ModuleError:
        try:
            with self._turn():
                return self._examine(setting)
        except ModuleError as error:
            return error

    # --- tokens --------------------------------------------------------------------------------
    def _mint(self, request: _MintRequest, wanted: _Wanted) -> tuple[TokenDigits, ...]:
        """Return the tokens of a request that read back as wanted; ask once more if they do not.

        Raises:
            ModuleError: They never did, or the module refused; see its outcome.
        """
        failure: ModuleError | None = None
        for _ in range(ATTEMPTS):
            try:
                tokens = self._tokens_of(request)
            except ModuleUnavailableError as error:
                raise failure or error from error
            except (LineConfusedError, ModuleChecksumError) as error:
                failure = error if isinstance(error, ModuleError) else ModuleAnswerLostError()
            else:
                # From here on a token may exist, whatever happens.
                failure = ModuleWrongTokenError()
                if self._reads_as(tokens, request, wanted):
                    self._examine_all(wanted.keys, ModuleAnswerLostError())
                    return tokens
            self._line.distrust()
            self._examine_all(wanted.keys, failure)
        raise failure or ModuleAnswerLostError()

    def _tokens_of(self, request: _MintRequest) -> tuple[TokenDigits, ...]:
        answer = self._ask(request)
        assert isinstance(answer, messages.TokenAnswer | messages.KeyChangeAnswer)
        return answer.tokens

    def _examine_all(self, keys: Sequence[KeyReference], failure: ModuleError) -> None:
        """Ask what the registers hold now: one may have been loaded anew since the line opened.

        Raises:
            ModuleError: They hold something else, or `failure`: the module went silent.
        """
        try:
            for key in keys:
                self._examine(self._settings[key])
        except ModuleUnavailableError as error:
            raise failure from error

    def _reads_as(
        self, tokens: Sequence[TokenDigits], request: _MintRequest, wanted: _Wanted
    ) -> bool:
        """Say whether the module reads its tokens back as what was wanted.

        Raises:
            ModuleAnswerLostError: It did not answer; the tokens may be right.
            ModuleError: It refused to read them.
        """
        if len(tokens) != len(wanted.fields) or len({*tokens}) != len(tokens):
            return False
        for token, fields in zip(tokens, wanted.fields, strict=True):
            # The class shows without a key: for this much nobody takes the module's word.
            bits = from_digits(token)
            if bits is None or class_of(bits) != fields[0]:
                return False
            question = messages.VerifyRequest(
                register=self._settings[wanted.keys[0]].number,
                pan=request.pan,
                ti=wanted.ti,
                ea=request.ea,
                tct=request.tct,
                token=token,
            )
            try:
                answer = self._ask(question)
            except (ModuleFieldError, ModuleLuhnError, LineConfusedError, ModuleChecksumError):
                return False
            except ModuleUnavailableError as error:
                raise ModuleAnswerLostError from error
            assert isinstance(answer, messages.VerifyAnswer)
            read = (answer.token_class, answer.subclass, answer.data & wanted.mask)
            if read != (fields[0], fields[1], fields[2] & wanted.mask):
                return False
        return True

    def _ask(self, request: messages.Request) -> messages.Answer:
        try:
            return self._line.exchange(request)
        except sts.ModuleRefusedError as error:
            raise refusal_of(error.status, meaning=str(error)) from error

    def _ask_safely(self, request: messages.Request) -> messages.Answer:
        """Ask what issues nothing: whatever becomes of it, nothing happened.

        Raises:
            ModuleUnavailableError: No answer came, or none that belongs to it.
            ModuleError: The module refused.
        """
        try:
            return self._ask(request)
        except (ModuleAnswerLostError, LineConfusedError) as error:
            raise ModuleUnavailableError from error

    def _attempt(self, register: KeyReference, request: CreditTokenRequest) -> VendOutcome:
        try:
            return self.vend(register, request)
        except VendingError as refusal:
            return refusal

    def __repr__(self) -> str:
        return f"AttachedSecurityModule({self._line.link}, {len(self._settings)} registers)"


def _sections_of(
    old: KeyAttributes, new: KeyAttributes, request: KeyChangeRequest
) -> tuple[_Fields, ...]:
    """Return what the sections of a key change say, beside the key that they carry."""
    no_key = DecoderKey(bytes(request.ea.key_size_bytes), request.ea)
    change = describe_key_change(
        new,
        new_key=no_key,
        new_ti=request.new_ti,
        rollover=old.base_date is not new.base_date,
    )
    return tuple(fields_of(section) for section in build_sections(change))
