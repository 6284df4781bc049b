"""What a customer bought, for the customer and for those who answer for personal data."""

from sqlalchemy import Connection

from vending.sales import repository
from vending.sales.model import Sale
from vending.sales.repository import find_last_sales
from vending.values.identifiers import CustomerId

__all__ = ["find_last_sales", "list_sales_of_customer"]


def list_sales_of_customer(
    connection: Connection, customer_id: CustomerId, *, limit: int
) -> list[Sale]:
    """Return the newest sales made to a customer, the newest first."""
    return repository.list_sales_of_customer(connection, customer_id, limit=limit)
