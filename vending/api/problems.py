"""Which problem documents a route may answer with, for the OpenAPI document."""

from http import HTTPStatus
from typing import Any

from vending.api.schemas import ProblemOut


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of these statuses, each a problem document."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemOut"}}
            },
        }
        for status in statuses
    }


PROBLEM_SCHEMA: dict[str, Any] = ProblemOut.model_json_schema(
    ref_template="#/components/schemas/{model}"
)
