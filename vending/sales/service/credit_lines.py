"""Keeps partners within their credit lines: who owes too much is refused, request by request.

The balance is locked from the decision to the commit, so sales at the same time, in any process,
see each other's. A sale that waits for a security module counts as owed already.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from vending.ledger.service import lock_accounts
from vending.partners.errors import CreditLineExceededError
from vending.partners.rules import partner_line
from vending.sales import repository
from vending.sales.rules import Draft
from vending.values.identifiers import PartnerId
from vending.values.money import Money


def refuse_beyond_lines(
    connection: Connection, drafts: Mapping[int, Draft], lines: Mapping[PartnerId, int]
) -> dict[int, CreditLineExceededError]:
    """Return the refusals of those drafts that their partner's line does not cover, in order.

    `lines` holds the partners that have one; the others owe without limit.
    """
    limited = {i: one for i, one in drafts.items() if one.request.partner_id in lines}
    if not limited:
        return {}
    keys = {
        index: partner_line(
            draft.request.partner_id,
            draft.quote.tender.currency,
            lines[draft.request.partner_id],
        )
        for index, draft in limited.items()
    }
    balances = lock_accounts(connection, list({one.code: one for one in keys.values()}.values()))
    waiting = repository.sum_open_tenders(connection, lines.keys())
    left = {code: (balance.available_minor or 0) for code, balance in balances.items()}
    for partner_id, currency, minor in waiting:
        code = partner_line(partner_id, currency, lines[partner_id]).code
        if code in left:
            left[code] -= minor
    refused: dict[int, CreditLineExceededError] = {}
    for index, draft in limited.items():
        tender = draft.quote.tender
        code = keys[index].code
        if tender.minor > left[code]:
            refused[index] = CreditLineExceededError(
                tender, Money(max(0, left[code]), tender.currency)
            )
        else:
            left[code] -= tender.minor
    return refused
