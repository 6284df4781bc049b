import pytest

GOOD = """\
format = 1
name = "good_meter"
maker = "Maker"
model = "Model 1"
firmware_seen = ["1.0"]
capabilities = ["read_registers", "identify", "switch_relay"]

[source]
document = "manual"
page = "12"
confidence = "A"
verification = "none"

[line]
baud = 9600
parity = "N"
stop_bits = 1

[timing]
turnaround_ms = 20
switch_ms = 100
answer_ms = 300

[reads]
table = "holding"
registers_max = 20
gap_max = 4

[relay]
command = 0x0100
actual = 0x0101
write = "fc16"
open_value = 0
closed_value = 1
settle_ms = 500

[probe]
register = "frequency"
lowest = 45000
highest = 65000

[[registers]]
name = "frequency"
address = 0
encoding = "u16"
scale = 10
unit = "mHz"
invalid = [0xFFFF]

[[registers]]
name = "serial"
address = 0x0002
encoding = "text"
count = 4
unit = "text"

[[registers]]
name = "energy"
address = 0x0010
encoding = "u32"
word_order = "little"
unit = "Wh"
table = "input"
"""


@pytest.fixture
def good_text() -> str:
    return GOOD
