"""The receipt: one document for the partner's API, and the same sum as lines for the customer.

The document is stored as the answer of its sale, byte for byte, so it holds nothing that changes
later. Its `lines` sum to the tender: that is the law of `Quote`, printed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from vending.sales.model import IssuedSale, StoredQuote
from vending.sts import group_digits
from vending.tariffs.model import (
    BASIS_POINTS_PER_WHOLE,
    MICRO_PER_MAJOR,
    Quote,
    Tariff,
    TariffDraft,
)
from vending.tokens.model import TokenKind
from vending.values.energy import Energy
from vending.values.money import Money

Language = Literal["en", "zh-CN"]

_LABELS: Final[Mapping[Language, Mapping[str, str]]] = MappingProxyType(
    {
        "en": MappingProxyType(
            {
                "copy": "COPY - not a new token",
                "title": "Prepaid electricity receipt",
                "receipt": "Receipt",
                "date": "Date",
                "meter": "Meter",
                "customer": "Customer",
                "paid": "Paid",
                "brought_forward": "Credit from last time",
                "energy": "Energy",
                "vat": "VAT",
                "carried_forward": "Credit kept for next time",
                "token": "Token",
                "units": "Units",
                "key_change": "ENTER THESE FIRST, in this order: your meter's key changes",
                "key_change_token": "Key change",
                "then": "Then enter the token for your energy. If the meter says that a key "
                "change token is wrong, it has it already: go on with the next one",
                "then_other": "Then enter the other token. If the meter says that a key "
                "change token is wrong, it has it already: go on with the next one",
            }
        ),
        "zh-CN": MappingProxyType(
            {
                "copy": "补打凭证 - 非新充值码",
                "title": "预付费购电凭证",
                "receipt": "凭证号",
                "date": "日期",
                "meter": "表号",
                "customer": "用户",
                "paid": "实付金额",
                "brought_forward": "上次余额",
                "energy": "电费",
                "vat": "增值税",
                "carried_forward": "余额结转",
                "token": "充值码",
                "units": "电量",
                "key_change": "请先按顺序输入以下换钥码(电表密钥更新)",
                "key_change_token": "换钥码",
                "then": "然后输入充值码。如电表提示换钥码错误,说明已输入过,请继续输入下一个",
                "then_other": "然后输入操作码。如电表提示换钥码错误,说明已输入过,请继续输入下一个",
            }
        ),
    }
)
_DOWN: Final = "\N{DOWNWARDS ARROW}"
_LOCALES: Final[Mapping[Language, str]] = MappingProxyType({"en": "en_GB", "zh-CN": "zh_Hans_CN"})


@dataclass(frozen=True, slots=True)
class Letterhead:
    """What every receipt of this utility shares."""

    utility_name: str
    timezone: str
    language: Language


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom the meter belongs to, as far as a receipt may show it."""

    masked_name: str
    language: Language


def sale_document(
    issued: IssuedSale,
    tariff: Tariff,
    holder: Holder | None,
    letterhead: Letterhead,
    key_change: Sequence[str] = (),
) -> dict[str, object]:
    """Return the sale as it is answered and stored.

    `key_change` holds the sections that the customer enters before the token, first one first;
    a sale without any has no such field.
    """
    sale, quote = issued.sale, issued.sale.quote
    carried = {"key_change": key_change_document(key_change)} if key_change else {}
    return {
        "id": str(sale.id),
        "receipt_number": sale.receipt_number,
        "issued_at": _instant_text(sale.created_at),
        "meter": {
            "pan": sale.meter_pan.digits,
            "drn": sale.meter_pan.iain,
            "customer": holder.masked_name if holder else None,
        },
        "tariff": tariff_document(tariff),
        "tender": money_document(quote.tender),
        "lines": breakdown_lines(quote),
        "tokens": [
            {
                "digits": issued.digits,
                "grouped": group_digits(issued.digits),
                "energy_wh": quote.energy_on_token.wh,
            }
        ],
        **carried,
        "receipt": receipt_lines(issued, tariff, holder, letterhead, key_change),
    }


def key_change_document(
    sections: Sequence[str], instructions: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Return the set that goes before the token, with how to enter it in both languages."""
    return {
        "tokens": [
            {"section": place, "digits": digits, "grouped": group_digits(digits)}
            for place, digits in enumerate(sections, 1)
        ],
        "instructions": dict(instructions or _instructions("then")),
    }


def token_instructions(kind: TokenKind) -> dict[str, str]:
    """Return how to enter the set before a token of this kind, by language."""
    is_credit = kind is TokenKind.TRANSFER_CREDIT
    return _instructions("then" if is_credit else "then_other")


def enter_first_document(kind: TokenKind, sections: Sequence[str]) -> dict[str, object]:
    """Return what goes before a token of this kind, as a sale tells it; nothing: no such field."""
    if not sections:
        return {}
    return {"key_change": key_change_document(sections, token_instructions(kind))}


def _instructions(then: str) -> dict[str, str]:
    return {
        language: f"{labels['key_change']}. {labels[then]}." for language, labels in _LABELS.items()
    }


def key_change_rows(sections: Sequence[str], language: Language) -> list[tuple[str, str]]:
    """Return what a receipt says of a set before its token: a name and a text a line."""
    if not sections:
        return []
    label = _LABELS[language]
    count = len(sections)
    return [
        (label["key_change"], _DOWN),
        *(
            (f"{label['key_change_token']} {place}/{count}", group_digits(digits))
            for place, digits in enumerate(sections, 1)
        ),
        (label["then"], _DOWN),
    ]


def quote_document(stored: StoredQuote, tariff: Tariff) -> dict[str, object]:
    """Return a quote as it is answered."""
    quote = stored.quote
    return {
        "id": str(stored.id),
        "expires_at": _instant_text(stored.expires_at),
        "meter": {"pan": stored.meter_pan.digits, "drn": stored.meter_pan.iain},
        "tariff": tariff_document(tariff),
        "tender": money_document(quote.tender),
        "lines": breakdown_lines(quote),
        "energy_wh": quote.energy_on_token.wh,
    }


def tariff_document(tariff: Tariff) -> dict[str, object]:
    """Return the version that priced a sale."""
    return {
        "code": tariff.code,
        "version": tariff.version,
        "price_per_kwh": price_text(tariff),
        "vat_percent": percent_text(tariff),
    }


def breakdown_lines(quote: Quote) -> list[dict[str, object]]:
    """Return what the tender became; the amounts sum to the tender.

    Credit brought forward is negative: it was paid before.
    """
    amounts = {
        "energy": quote.net,
        "vat": quote.vat,
        "credit_brought_forward": -quote.brought_forward,
        "credit_carried_forward": quote.carried_forward,
    }
    assert sum(amount.minor for amount in amounts.values()) == quote.tender.minor
    return [{"code": code, **money_document(amount)} for code, amount in amounts.items()]


def receipt_lines(
    issued: IssuedSale,
    tariff: Tariff,
    holder: Holder | None,
    letterhead: Letterhead,
    key_change: Sequence[str] = (),
) -> dict[str, object]:
    """Return the receipt as printable lines in the customer's language."""
    language = holder.language if holder else letterhead.language
    label = _LABELS[language]
    sale, quote = issued.sale, issued.sale.quote
    issued_at = format_datetime(
        sale.created_at.astimezone(ZoneInfo(letterhead.timezone)),
        "yyyy-MM-dd HH:mm",
        locale=_LOCALES[language],
    )
    rows = [
        (label["receipt"], sale.receipt_number),
        (label["date"], issued_at),
        (label["meter"], sale.meter_pan.iain),
        (label["customer"], holder.masked_name if holder else ""),
        (label["paid"], str(quote.tender)),
        (label["brought_forward"], _unless_zero(quote.brought_forward)),
        (f"{label['energy']} {kwh_text(quote.energy)} @ {price_text(tariff)}", str(quote.net)),
        (f"{label['vat']} {percent_text(tariff)}%", str(quote.vat)),
        (label["carried_forward"], _unless_zero(quote.carried_forward)),
        (label["units"], kwh_text(quote.energy_on_token)),
        *key_change_rows(key_change, language),
        (label["token"], group_digits(issued.digits)),
    ]
    heading = [letterhead.utility_name, label["title"]]
    return {
        "language": language,
        "lines": [*heading, *(f"{name}: {text}" for name, text in rows if text)],
    }


def watermark(receipt: Mapping[str, Any]) -> dict[str, object]:
    """Return a stored receipt marked as a copy, in its own language."""
    language: Language = receipt["language"]
    mark = f"*** {_LABELS[language]['copy']} ***"
    return {**receipt, "lines": [mark, *receipt["lines"], mark]}


def _instant_text(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")


def _unless_zero(amount: Money) -> str:
    return str(amount) if amount.minor else ""


def money_document(amount: Money) -> dict[str, object]:
    """Return an amount as the API writes it: minor units, currency, and a decimal to show."""
    return {
        "minor": amount.minor,
        "currency": amount.currency.code,
        "decimal": amount.to_decimal(),
    }


def kwh_text(energy: Energy) -> str:
    """Return energy in kWh with one decimal place, the unit of a token."""
    assert energy.wh % 100 == 0, "a token carries whole units of 0.1 kWh"
    return f"{energy.wh // 1000}.{energy.wh % 1000 // 100} kWh"


def price_text(tariff: TariffDraft) -> str:
    """Return the price a kWh in major units, with the places it needs and at least two."""
    whole, micro = divmod(tariff.price_per_kwh_micro, MICRO_PER_MAJOR)
    return f"{whole}.{f'{micro:06d}'.rstrip('0').ljust(2, '0')}"


def percent_text(tariff: TariffDraft) -> str:
    """Return the VAT rate in percent, such as `16` or `7.5`."""
    whole, hundredths = divmod(tariff.vat_basis_points * 100, BASIS_POINTS_PER_WHOLE)
    fraction = f"{hundredths // 100:02d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)
