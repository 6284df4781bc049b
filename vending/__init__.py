"""The vending service: sells prepaid energy as STS tokens and keeps the books."""

from importlib.metadata import version
from typing import Final

__version__: Final = version("prepaid-vending")
