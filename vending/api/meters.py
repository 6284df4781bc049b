"""Routes of meters: what a seller asks before money moves."""

from typing import Annotated, Final

from fastapi import Path, Response

from vending.api.deps import ContainerDep, PartnerDep
from vending.api.errors import encoded
from vending.api.problems import problems
from vending.api.router import new_router
from vending.api.schemas import MeterOut
from vending.api.views import meter_view

router: Final = new_router("meters")


@router.get(
    "/meters/{number}",
    responses={200: {"model": MeterOut}, **problems(401, 404, 422, 503)},
)
def get_meter(
    number: Annotated[
        str, Path(max_length=40, description="DRN or MeterPAN", examples=["01234567897"])
    ],
    partner: PartnerDep,
    container: ContainerDep,
) -> Response:
    """Confirm a meter: whose it is, masked, whether it may be sold to, and what it costs."""
    del partner
    return encoded(meter_view(container, number))
