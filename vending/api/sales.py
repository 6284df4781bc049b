"""Routes of quotes and sales."""

import asyncio
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from vending.api.deps import (
    ContainerDep,
    IdempotencyKeyDep,
    InFlightDep,
    PartnerDep,
    container_of,
    in_flight_of,
)
from vending.api.errors import PROBLEM_TYPE, encoded, problem_response
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import (
    ID_EXAMPLE,
    QuoteIn,
    QuoteOut,
    ReprintOut,
    SaleIn,
    SaleOut,
    SaleStatusOut,
)
from vending.api.views import sale_status
from vending.sales.errors import LaneFullError
from vending.sales.model import Answer, Declined, VendOutcome, VendRequest
from vending.sales.receipt import quote_document
from vending.sales.service.desk import SalesDesk
from vending.sales.service.lookups import reprint
from vending.sales.service.quotes import quote
from vending.sales.service.vend import vend, vend_soon
from vending.values.identifiers import IdempotencyKey, SaleId

router: Final = new_router("sales")
HTTP_ERRORS_BEGIN: Final = 400
KeyQuery = Annotated[
    str,
    Query(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        alias="idempotency_key",
        examples=["0b3f7c1e-8a52-4d0e-9b6d-1f2a3c4d5e6f"],
    ),
]
SalePath = Annotated[UUID, Path(description="Id of the sale", examples=[ID_EXAMPLE])]


@router.post(
    "/quotes",
    status_code=201,
    responses={201: {"model": QuoteOut}, **problems(400, 401, 404, 413, 422, 503)},
)
def create_quote(body: QuoteIn, partner: PartnerDep, container: ContainerDep) -> Response:
    """Tell what a tender buys, and promise it for a while; no money moves."""
    stored, tariff = quote(partner.id, body.meter, body.tender.to_money(), container.desk)
    return encoded(quote_document(stored, tariff), status=201)


@router.post(
    "/sales",
    status_code=201,
    responses={201: {"model": SaleOut}, **problems(400, 401, 404, 409, 413, 422, 429, 503)},
)
async def create_sale(
    request: Request, body: SaleIn, partner: PartnerDep, key: IdempotencyKeyDep
) -> Response:
    """Sell: the same key with the same body gives the same answer, for ever."""
    container = container_of(request)
    with (
        in_flight_of(request).hold(partner.id, key),
        container.metrics.vend_duration.time(),
    ):
        outcome = await _vend(body.to_request(partner.id, key), container.desk)
    if not isinstance(outcome, Answer):
        container.metrics.vends.labels(outcome.error.code).inc()
        return problem_response(outcome.error)
    container.metrics.vends.labels("replayed" if outcome.replayed else "issued").inc()
    return stored_response(outcome)


async def _vend(request: VendRequest, desk: SalesDesk) -> VendOutcome:
    """Wait for the lane without a thread; shielded, as a caller who is gone stops no sale."""
    try:
        if desk.security_module.is_local:
            outcomes = await asyncio.shield(asyncio.wrap_future(vend_soon([request], desk)))
        else:
            outcomes = await run_in_threadpool(vend, [request], desk)
    except LaneFullError as refusal:
        return Declined(refusal)
    return outcomes[0]


@router.get(
    "/sales/{sale_id}",
    responses={200: {"model": SaleStatusOut}, **problems(401, 404, 422, 503)},
)
def get_sale(sale_id: SalePath, partner: PartnerDep, container: ContainerDep) -> Response:
    """Tell where a sale stands, and how far its token has come."""
    return encoded(sale_status(container, partner.id, SaleId(sale_id)))


@router.get(
    "/sales",
    responses={200: {"model": SaleStatusOut}, **problems(401, 404, 409, 422, 503)},
)
def find_sale(
    key: KeyQuery, partner: PartnerDep, container: ContainerDep, in_flight: InFlightDep
) -> Response:
    """Tell what became of the sale that was sent with a key, after an answer was lost."""
    in_flight.require_free(partner.id, IdempotencyKey(key))
    return encoded(sale_status(container, partner.id, IdempotencyKey(key)))


@router.post(
    "/sales/{sale_id}/reprints",
    responses={200: {"model": ReprintOut}, **problems(401, 404, 422, 503)},
)
def create_reprint(sale_id: SalePath, partner: PartnerDep, container: ContainerDep) -> Response:
    """Give the receipt again, marked as a copy; the token is the one first issued."""
    return encoded(reprint(partner.id, SaleId(sale_id), container.desk))


def stored_response(answer: Answer) -> Response:
    """Return a stored answer, byte for byte, and say when it is a repeat."""
    media_type = "application/json" if answer.status < HTTP_ERRORS_BEGIN else PROBLEM_TYPE
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else {}
    return Response(answer.body, answer.status, headers, media_type)
