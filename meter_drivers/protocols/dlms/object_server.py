"""What a meter, or what plays one, offers to a server association: its objects."""

from dataclasses import dataclass
from typing import Protocol

from meter_drivers.protocols.dlms.axdr import Data
from meter_drivers.protocols.dlms.names import Attribute, Method, Selection
from meter_drivers.protocols.dlms.responses import Outcome
from meter_drivers.protocols.dlms.results import ActionResult, DataAccessResult


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """What became of a method, and what it returned; `None` for nothing."""

    result: ActionResult
    returned: Data | None = None


class ObjectServer(Protocol):
    """The objects that one association sees, with the rights it has on them.

    What is refused is a result, never an exception. Of class 15, reply_to_HLS_authentication is
    the association's own business and does not come here.
    """

    def get(self, attribute: Attribute, selection: Selection | None) -> Outcome:
        """Return the value of an attribute, or of the selected part, or why there is none."""

    def set(
        self, attribute: Attribute, value: Data, selection: Selection | None
    ) -> DataAccessResult:
        """Write an attribute, or the selected part, and return what became of it."""

    def act(self, method: Method, parameter: Data | None) -> ActionOutcome:
        """Carry a method out and return what became of it."""
