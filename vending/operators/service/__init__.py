"""Use cases of the operators, one file for each kind; what other features ask for is here too."""

from vending.operators.service.accounts import load_operator, load_operator_by_name

__all__ = ["load_operator", "load_operator_by_name"]
