"""A server's objects for tests: values by attribute, and a record of what was done to them."""

from meter_drivers.protocols.dlms.axdr import Data
from meter_drivers.protocols.dlms.names import Attribute, Method, Selection
from meter_drivers.protocols.dlms.object_server import ActionOutcome
from meter_drivers.protocols.dlms.responses import Outcome
from meter_drivers.protocols.dlms.results import ActionResult, DataAccessResult
from meter_drivers.protocols.dlms.security import SecurityKeys

# The keys of the example in the green book (DLMS UA 1000-2), which are public.
KEYS = SecurityKeys(
    bytes.fromhex("000102030405060708090A0B0C0D0E0F"),
    bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
)
CLIENT_TITLE = bytes.fromhex("4D4D4D0000BC614E")
SERVER_TITLE = bytes.fromhex("4D4D4D0000000001")


class RecordingObjects:
    """Knows the attributes it was given, and every method."""

    def __init__(self, values: dict[Attribute, Data]) -> None:
        self.values = values
        self.selections: list[Selection | None] = []
        self.acts: list[tuple[Method, Data | None]] = []
        self.action_outcome = ActionOutcome(ActionResult.SUCCESS)

    def get(self, attribute: Attribute, selection: Selection | None) -> Outcome:
        self.selections.append(selection)
        return self.values.get(attribute, DataAccessResult.OBJECT_UNDEFINED)

    def set(
        self, attribute: Attribute, value: Data, selection: Selection | None
    ) -> DataAccessResult:
        self.selections.append(selection)
        if attribute not in self.values:
            return DataAccessResult.READ_WRITE_DENIED
        self.values[attribute] = value
        return DataAccessResult.SUCCESS

    def act(self, method: Method, parameter: Data | None) -> ActionOutcome:
        self.acts.append((method, parameter))
        return self.action_outcome
