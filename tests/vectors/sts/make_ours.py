"""Writes ours.json and refusals.json: `python tests/vectors/sts/make_ours.py` from the root.

Every token is made by naive_sts.py, the second implementation; the suite then asks the product
for the same digits.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))

from tests.vectors.sts import naive_sts as naive  # noqa: E402  # the path comes first

SOURCE = "ours: made by naive_sts.py, an independent implementation bit by bit"
LONG_KEY = "0123456789ABCDEF00112233445566778899AABB"
SHORT_KEY = "133457799BBCDFF1"
PANS = ("600727000000000009", "000001000000000082", "600727123456789030")
TIMES = (
    "2014-01-01 00:00",
    "2014-01-01 00:02",
    "2020-02-29 00:00",
    "2020-02-29 00:01",
    "2020-02-29 00:02",
    "2026-07-11 23:59",
    "2045-11-24 20:15",
)


def key_fields(n: int, **over: object) -> naive.Vector:
    """Return the key of the n-th vector: every attribute takes turns."""
    dkga = 2 if n % 3 == 2 else 4
    key_types = (1, 2, 3) if dkga == 2 else (1, 2)
    return {
        "dkga": dkga,
        "ea": 7 if dkga == 2 else (7, 11)[n % 2],
        "sgc": ("000000", "123456", "999999", "204813")[n % 4],
        "pan": PANS[n % 3],
        "base_date": (2014, 1993)[dkga == 2 and n % 2],
        "vending_key": SHORT_KEY if dkga == 2 else LONG_KEY,
        "key_type": key_types[n % len(key_types)],
        "tariff_index": ("00", "01", "42", "99")[n % 4],
        "key_revision": n % 9 + 1,
        "key_expiry": (255, 0, 1, 128)[n % 4],
        **over,
    }


def issued(n: int, base_date: int) -> str:
    return TIMES[n % len(TIMES)] if base_date == 2014 else f"20{n % 20:02}-10-05 0{n % 9}:30"


def with_token(vector: naive.Vector) -> naive.Vector:
    tokens = naive.encode_vector(vector)
    return {**vector, "tokens": tokens} if len(tokens) > 1 else {**vector, "token": tokens[0]}


def credit_vectors() -> list[naive.Vector]:
    units: tuple[int, ...] = (
        0,
        1,
        16383,
        16384,
        16385,
        16394,
        180214,
        180215,
        180224,
        180225,
        1818524,
        1818525,
    )
    units += (1818624, 1818625, 18201623, 18201624)
    made = []
    for n, amount in enumerate(units * 2):
        key = key_fields(n)
        made.append(
            {
                "id": f"ours-credit-{n}",
                "clause": "transfer amount, TID, DKGA",
                "kind": "credit",
                "subclass": n % 4,
                "rnd": n % 16,
                "issued": issued(n, key["base_date"]),
                "units": amount,
                **key,
            }
        )
    return made


def currencies() -> list[naive.Vector]:
    units: tuple[str, ...] = (
        "0",
        "0.00001",
        "-0.00001",
        "0.5",
        "-0.5",
        "0.000001",
        "-0.000001",
        "0.16384",
    )
    units += ("0.16385", "-0.16385", "-1.80223", "-16384", "999999999", "-123456789.12345")
    units += ("100000000000000000000000", "-100000000000000000000000", "18.20163", "-18.20163")
    made = []
    for n, amount in enumerate(units):
        key = key_fields(n)
        made.append(
            {
                "id": f"ours-currency-{n}",
                "clause": "currency amount, CRC_C",
                "kind": "currency",
                "subclass": 4 + n % 4,
                "issued": issued(n, key["base_date"]),
                "units": amount,
                **key,
            }
        )
    return made


def managements() -> list[naive.Vector]:
    cases = [(0, watts, True) for watts in (0, 1, 16385, 18201624)]
    cases += [(0, raw, False) for raw in (0, 0x4000, 0xFFFF)]
    cases += [(1, register, False) for register in (*range(8), 0xFFFF)]
    cases += [(2, rate, False) for rate in (0, 1, 0x8001, 0xFFFF)]
    cases += [(5, 0, False)]
    cases += [(6, watts, True) for watts in (0, 16384, 1818625)]
    cases += [(7, factor, False) for factor in (0, 1000, 0xFFFF)]
    cases += [(10, index << 10 | value, False) for index, value in ((0, 0), (63, 1023), (5, 512))]
    made = []
    for n, (subclass, value, coded) in enumerate(cases):
        key = key_fields(n)
        made.append(
            {
                "id": f"ours-management-{subclass}-{n}",
                "clause": "class 2 tokens",
                "kind": "management",
                "subclass": subclass,
                "rnd": (n * 7) % 16,
                "issued": issued(n, key["base_date"]),
                "value": value,
                "value_is_amount_coded": coded,
                **key,
            }
        )
    return made


def key_changes() -> list[naive.Vector]:
    made = []
    for n in range(12):
        common = key_fields(n)
        names = ("sgc", "base_date", "vending_key", "key_revision", "key_expiry", "tariff_index")
        old = {name: common[name] for name in names}
        new = {
            **old,
            "sgc": ("999999", "000000", "204813", "004096")[n % 4],
            "key_revision": (n + 4) % 9 + 1,
            "key_expiry": (0, 15, 16, 254)[n % 4],
            "tariff_index": ("99", "00", "07")[n % 3],
            "base_date": 2035 if n % 4 == 3 and common["dkga"] == 4 else old["base_date"],
        }
        made.append(
            {
                "id": f"ours-key-change-{n}",
                "clause": "key-change tokens",
                "kind": "key_change",
                "dkga": common["dkga"],
                "ea": common["ea"],
                "pan": common["pan"],
                "key_type": common["key_type"],
                "rollover": int(old["base_date"] != new["base_date"]),
                "old": old,
                "new": new,
            }
        )
    return made


def class1s() -> list[naive.Vector]:
    cases = [(1 << place, 0, 2) for place in range(11)]
    cases += [(2**36 - 1, 99, 2), (0, 7, 2), (1, 4711, 4), (2**28 - 1, 9999, 4), (0x400, 10, 4)]
    return [
        {
            "id": f"ours-class1-{n}",
            "clause": "InitiateMeterTest/Display",
            "kind": "class1",
            "subclass": 0 if digits == 2 else 1,
            "control": hex(control),
            "manufacturer": manufacturer,
            "manufacturer_digits": digits,
        }
        for n, (control, manufacturer, digits) in enumerate(cases)
    ]


KEY = {7: "87f3ecbb2e46b48f", 11: "00112233445566778899aabbccddeeff"}


def refusal(name: str, expect: str, plain: str, ea: int = 7) -> naive.Vector:
    key = None if plain.startswith("01") else naive.from_hex(KEY[ea])
    return {
        "id": name,
        "clause": "what a meter does with a token, step 1",
        "digits": naive.finish(plain, key),
        "ea": ea,
        "decoder_key": KEY[ea],
        "expect": expect,
    }


def typed(name: str, digits: str) -> naive.Vector:
    return {
        "id": name,
        "clause": "the 66-bit token and its 20 digits",
        "digits": digits,
        "ea": 7,
        "decoder_key": KEY[7],
        "expect": "FormatError",
    }


def damaged(plain: str) -> str:
    return plain[:-1] + ("1" if plain[-1] == "0" else "0")


def refusals() -> list[naive.Vector]:
    bits, seal = naive.bits, naive.seal
    head = bits(5, 4) + bits(85740, 24)
    credit = seal(0, 0, head + bits(1, 16))
    currency = bits(4, 6) + head + bits(1, 16)
    part = bits(0xDEADBEEF, 32)
    made = [
        typed("format-empty", ""),
        typed("format-19-digits", "7063050347002872611"),
        typed("format-21-digits", "070630503470028726114"),
        typed("format-grouped", "7063 0503 4700 2872 6114"),
        typed("format-letter", "7063050347002872611A"),
        typed("format-arabic-digit", "7063050347002872611\u0664"),
        typed("format-66-bits-and-one", str(2**66)),
        typed("format-all-nines", "9" * 20),
        refusal("class-3", "FunctionError", seal(3, 0, head + bits(1, 16))),
        refusal("class-3-wrong-crc", "FunctionError", damaged(seal(3, 0, head + bits(1, 16)))),
        refusal("crc-credit", "CRCError", damaged(credit)),
        refusal("crc-credit-ea11", "CRCError", damaged(credit), 11),
        refusal("crc-class-1", "CRCError", damaged(seal(1, 0, bits(1, 44)))),
        refusal(
            "crc-instead-of-crc-c", "CRCError", currency + naive.token_crc(currency, currency=False)
        ),
        refusal("crc-before-function", "CRCError", damaged(seal(2, 15, bits(0, 44)))),
    ]
    made += [
        refusal(f"reserved-0-{n}", "FunctionError", seal(0, n, head + bits(1, 16)))
        for n in range(8, 16)
    ]
    made += [
        refusal(f"reserved-1-{n}", "FunctionError", seal(1, n, bits(0, 44))) for n in range(2, 16)
    ]
    made += [
        refusal(f"reserved-2-{n}", "FunctionError", seal(2, n, bits(0, 44)), (7, 11)[n % 2])
        for n in range(11, 16)
    ]
    first = bits(15, 4) + bits(1, 4)
    made += [
        refusal("three-sections", "FunctionError", seal(2, 3, first + "01" + "10" + part)),
        refusal("krn-0", "RangeError", seal(2, 3, bits(15, 4) + bits(0, 4) + "0010" + part)),
        refusal("krn-10", "RangeError", seal(2, 3, bits(15, 4) + bits(10, 4) + "0010" + part)),
        refusal("ti-100", "RangeError", seal(2, 4, bits(15, 4) + bits(100, 8) + part)),
        refusal("pad-1", "RangeError", seal(2, 5, head + bits(1, 16))),
        refusal("register-8", "RangeError", seal(2, 1, head + bits(8, 16))),
        refusal("register-fffe", "RangeError", seal(2, 1, head + bits(0xFFFE, 16))),
        refusal("sgc-above-999999", "RangeError", seal(2, 9, bits(245, 12) + part), 11),
        refusal("manufacturer-100", "RangeError", seal(1, 0, bits(1, 36) + bits(100, 8))),
        refusal("manufacturer-10000", "RangeError", seal(1, 1, bits(1, 28) + bits(10000, 16))),
    ]
    return made


def write(name: str, source: str, vectors: list[naive.Vector]) -> None:
    text = json.dumps({"source": source, "vectors": vectors}, indent=1, ensure_ascii=False)
    (HERE / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    ours = [*credit_vectors(), *currencies(), *managements(), *key_changes(), *class1s()]
    write("ours.json", SOURCE, [with_token(vector) for vector in ours])
    write("refusals.json", SOURCE, refusals())
