"""A second implementation of the token standard, bit by bit and by the book.

It shares no code with vending.sts but the S-boxes of MISTY1. Bits are text, most significant
first, so that every step can be read beside the standard; nothing is tabled or combined. Our
own vectors are those on which the two agree, and the benchmark measures against it.
"""

import hashlib
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from vending.sts.hazmat.misty1 import _S7, _S9

Vector = dict[str, Any]
"""A vector as it stands in its JSON file."""

# --- bits as text


def bits(value: int, width: int) -> str:
    assert 0 <= value < 2**width, (value, width)
    return format(value, "b").zfill(width)


def number(text: str) -> int:
    return int(text, 2)


def xor(left: str, right: str) -> str:
    return "".join("0" if a == b else "1" for a, b in zip(left, right, strict=True))


def from_hex(text: str) -> str:
    return "".join(bits(int(digit, 16), 4) for digit in text)


def to_hex(text: str) -> str:
    return "".join(format(number(text[i : i + 4]), "x") for i in range(0, len(text), 4))


# --- check sums


def crc(octets: bytes, initial: int) -> int:
    register = initial
    for octet in octets:
        for place in range(8):
            out = (register ^ octet >> place) & 1
            register >>= 1
            if out:
                register ^= 0b1010000000000001
    return register


def token_crc(protected: str, *, currency: bool) -> str:
    octets = number(protected).to_bytes(7, "big") + (b"\x01" if currency else b"")
    value = crc(octets, 0xFFFF)
    return bits(value % 256, 8) + bits(value // 256, 8)


# --- EA07, STA

SUBSTITUTION_A = [14, 10, 7, 9, 12, 3, 2, 5, 13, 0, 15, 1, 4, 8, 6, 11]
SUBSTITUTION_B = [12, 8, 2, 13, 7, 6, 1, 3, 11, 5, 9, 15, 0, 4, 10, 14]
PERMUTATION = [
    55, 42, 10, 18, 24, 21, 44, 35, 2, 22, 56, 43, 27, 58, 9, 50, 6, 36, 12, 61, 37, 38, 53, 16,
    62, 3, 7, 4, 32, 20, 63, 25, 51, 52, 54, 33, 49, 19, 46, 29, 48, 31, 23, 30, 41, 28, 13, 5,
    40, 60, 39, 11, 15, 17, 1, 0, 57, 34, 59, 8, 47, 14, 45, 26,
]  # fmt: skip


def sta_encrypt(key: str, block: str) -> str:
    key = xor(key, "1" * 64)
    key = key[-12:] + key[:-12]
    for _ in range(16):
        # Bit i of a number is character 63 - i of its text.
        substituted = ""
        for n in range(15, -1, -1):
            nibble = number(block[60 - 4 * n : 64 - 4 * n])
            table = SUBSTITUTION_B if key[63 - (4 * n + 3)] == "1" else SUBSTITUTION_A
            substituted += bits(table[nibble], 4)
        moved = ["0"] * 64
        for i in range(64):
            moved[63 - PERMUTATION[i]] = substituted[63 - i]
        block = "".join(moved)
        key = key[1:] + key[0]
    return block


# --- EA11, MISTY1 (RFC 2994)


def fi(value: str, key: str) -> str:
    d9, d7 = value[:9], value[9:]
    d9 = xor(bits(_S9[number(d9)], 9), "00" + d7)
    d7 = xor(bits(_S7[number(d7)], 7), d9[2:])
    d7 = xor(d7, key[:7])
    d9 = xor(d9, key[7:])
    d9 = xor(bits(_S9[number(d9)], 9), "00" + d7)
    return d7 + d9


def and_(left: str, right: str) -> str:
    return "".join("1" if a + b == "11" else "0" for a, b in zip(left, right, strict=True))


def or_(left: str, right: str) -> str:
    return "".join("0" if a + b == "00" else "1" for a, b in zip(left, right, strict=True))


def misty1_encrypt(key: str, block: str) -> str:
    k = [key[16 * i : 16 * i + 16] for i in range(8)]
    ek = k + [fi(k[i], k[(i + 1) % 8]) for i in range(8)]

    def fo(value: str, n: int) -> str:
        t0, t1 = value[:16], value[16:]
        t0 = xor(fi(xor(t0, ek[n]), ek[(n + 5) % 8 + 8]), t1)
        t1 = xor(fi(xor(t1, ek[(n + 2) % 8]), ek[(n + 1) % 8 + 8]), t0)
        t0 = xor(fi(xor(t0, ek[(n + 7) % 8]), ek[(n + 3) % 8 + 8]), t1)
        return xor(t1, ek[(n + 4) % 8]) + t0

    def fl(value: str, n: int) -> str:
        d0, d1 = value[:16], value[16:]
        if n % 2 == 0:
            d1 = xor(d1, and_(d0, ek[n // 2]))
            d0 = xor(d0, or_(d1, ek[(n // 2 + 6) % 8 + 8]))
        else:
            d1 = xor(d1, and_(d0, ek[((n - 1) // 2 + 2) % 8 + 8]))
            d0 = xor(d0, or_(d1, ek[((n - 1) // 2 + 4) % 8]))
        return d0 + d1

    d0, d1 = block[:32], block[32:]
    for n in range(8):
        if n % 2 == 0:
            d0 = fl(d0, n)
            d1 = xor(fl(d1, n + 1), fo(d0, n))
        else:
            d0 = xor(d0, fo(d1, n))
    return fl(d1, 9) + fl(d0, 8)


# --- DES (FIPS 46-3), numbered from 1 at the left as the standard does

IP = [i + 8 * j for i in (58, 60, 62, 64, 57, 59, 61, 63) for j in range(0, -8, -1)]
E = [(4 * n + j - 1) % 32 + 1 for n in range(8) for j in range(6)]
P = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
    2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
]  # fmt: skip
PC1 = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3,
    60, 52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37,
    29, 21, 13, 5, 28, 20, 12, 4,
]  # fmt: skip
PC2 = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
]  # fmt: skip
SHIFTS = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1]
S = [
    "E4D12FB83A6C59070F74E2D1A6CB953841E8D62BFC973A50FC8249175B3EA06D",
    "F18E6B34972DC05A3D47F28EC01A69B50E7BA4D158C6932FD8A13F42B67C05E9",
    "A09E63F51DC7B428D709346A285ECBF1D6498F30B12C5AE71AD069874FE3B52C",
    "7DE3069A1285BC4FD8B56F03472C1AE9A690CB7DF13E52843F06A1D8945BC72E",
    "2C417AB6853FD0E9EB2C47D150FA3986421BAD78F9C5630EB8C71E2D6F09A453",
    "C1AF92680D34E75BAF427C9561DE0B389EF528C3704A1DB6432C95FABE17608D",
    "4B2EF08D3C975A61D0B7491AE35C2F8614BDC37EAF6805926BD814A7950FE23C",
    "D2846FB1A93E50C71FD8A374C56B0E927B419CE206ADF35821E74A8DFC90356B",
]


def pick(text: str, places: list[int]) -> str:
    return "".join(text[place - 1] for place in places)


def des_round(half: str, subkey: str) -> str:
    mixed = xor(pick(half, E), subkey)
    out = ""
    for box in range(8):
        six = mixed[6 * box : 6 * box + 6]
        row, column = number(six[0] + six[5]), number(six[1:5])
        out += bits(int(S[box][16 * row + column], 16), 4)
    return pick(out, P)


def des_encrypt(key: str, block: str) -> str:
    c, d = pick(key, PC1)[:28], pick(key, PC1)[28:]
    left, right = pick(block, IP)[:32], pick(block, IP)[32:]
    for shift in SHIFTS:
        c, d = c[shift:] + c[:shift], d[shift:] + d[:shift]
        left, right = right, xor(left, des_round(right, pick(c + d, PC2)))
    final = right + left
    return "".join(final[IP.index(i + 1)] for i in range(64))


# --- decoder keys


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    padded = key + bytes(64 - len(key))
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in padded) + message).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in padded) + inner).digest()


def decoder_key(v: Vector) -> str:
    """Return the key's bits for a vector, or for the old or new part of one."""
    if v["dkga"] == 2:
        iin, iain = split_pan(v["pan"])
        if v["key_type"] == 3:
            iain = "0" * len(iain)
        pan_block = (iin + iain)[-16:]
        control = f"{v['key_type']}{v['sgc']}{v['tariff_index']}{v['key_revision']}ffffff"
        x = xor(from_hex(pan_block), from_hex(control))
        vk = from_hex(v["vending_key"])
        return xor(xor(des_encrypt(vk, x), x), vk)
    length = 64 if v["ea"] == 7 else 128
    block = "04"
    for field in ("04", str(v["base_date"])[2:], f"{v['ea']:02}", v["tariff_index"]):
        block += "02" + field.encode().hex()
    block += "00" + "04"
    block += "06" + v["sgc"].encode().hex()
    block += "01" + str(v["key_type"]).encode().hex() + "01" + str(v["key_revision"]).encode().hex()
    block += "12" + v["pan"].encode().hex() + format(length, "08x")
    digest = hmac_sha256(bytes.fromhex(v["vending_key"]), bytes.fromhex(block))
    return from_hex(digest.hex())[:length]


def split_pan(pan: str) -> tuple[str, str]:
    return (pan[:6], pan[6:17]) if pan.startswith("600727") else (pan[:4], pan[4:17])


# --- amounts


def value_of(exponent: int, mantissa: int) -> int:
    value: int = mantissa * 10**exponent
    for n in range(1, exponent + 1):
        value += 2**14 * 10 ** (n - 1)
    return value


def coded_not_below(units: Fraction, exponents: int) -> tuple[int, int]:
    """Return the exponent and mantissa of the least coded value that is not below `units`."""
    best = None
    for exponent in range(exponents):
        step = 10**exponent
        mantissa = max(0, -((value_of(exponent, 0) - units) // step))
        if mantissa < 2**14:
            found = (value_of(exponent, int(mantissa)), exponent, int(mantissa))
            best = found if best is None else min(best, found)
    assert best is not None, "too large"
    return best[1], best[2]


def coded_not_above(units: Fraction, exponents: int) -> tuple[int, int]:
    """Return the exponent and mantissa of the greatest coded value that is not above `units`."""
    best = (0, 0, 0)
    for exponent in range(exponents):
        mantissa = (units - value_of(exponent, 0)) // 10**exponent
        if mantissa >= 0:
            mantissa = min(int(mantissa), 2**14 - 1)
            best = max(best, (value_of(exponent, mantissa), exponent, mantissa))
    return best[1], best[2]


def amount_bits(units: int | str | Fraction) -> str:
    exponent, mantissa = coded_not_below(Fraction(units), 4)
    return bits(exponent, 2) + bits(mantissa, 14)


def currency_bits(units: str | Fraction) -> tuple[str, str]:
    """Return S&E and Amount of whole currency units."""
    fine = Fraction(units) * 100_000
    if fine >= 0:
        sign, (exponent, mantissa) = 0, coded_not_below(fine, 32)
    else:
        exponent, mantissa = coded_not_above(-fine, 32)
        sign = 0 if (exponent, mantissa) == (0, 0) else 1
    return (
        bits(sign * 8 + exponent // 4, 4),
        bits(exponent % 4 * 2**14 + mantissa, 16),
    )


# --- tokens


def tid_bits(issued: str, base_date: int) -> str:
    instant = datetime.strptime(issued, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    passed = instant - datetime(base_date, 1, 1, tzinfo=UTC)
    minutes = passed.days * 1440 + passed.seconds // 60
    if issued.endswith("00:01"):
        minutes += 1
    return bits(minutes, 24)


def seal(token_class: int, subclass: int, data: str) -> str:
    """Return the 66 bits of a token, CRC added, neither encrypted nor transposed."""
    protected = bits(token_class, 2) + bits(subclass, 4) + data
    return protected + token_crc(protected, currency=token_class == 0 and 4 <= subclass <= 7)


def finish(plain: str, key: str | None) -> str:
    """Return the 20 digits of 66 bits: the block encrypted, the class bits transposed."""
    class_bits, block = plain[:2], plain[2:]
    if class_bits != "01":
        assert key is not None
        block = sta_encrypt(key, block) if len(key) == 64 else misty1_encrypt(key, block)
    old_28, old_27 = block[63 - 28], block[63 - 27]
    moved = block[: 63 - 28] + class_bits + block[63 - 26 :]
    return str(number(old_28 + old_27 + moved)).zfill(20)


def token_of(v: Vector) -> str:
    """Return the digits of a vector of kind credit, currency or management."""
    rnd_tid = bits(v.get("rnd", 5), 4) + tid_bits(v["issued"], v["base_date"])
    if v["kind"] == "currency" or (v["kind"] == "credit" and v["subclass"] >= 4):
        sign_and_exponent, amount = currency_bits(v["units"])
        plain = seal(0, v["subclass"], sign_and_exponent + rnd_tid[4:] + amount)
    elif v["kind"] == "credit":
        plain = seal(0, v["subclass"], rnd_tid + amount_bits(v["units"]))
    else:
        coded = v["value_is_amount_coded"]
        value = amount_bits(v["value"]) if coded else bits(v["value"], 16)
        plain = seal(2, v["subclass"], rnd_tid + value)
    return finish(plain, decoder_key(v))


def key_change_of(v: Vector) -> list[str]:
    old = {**v, **v["old"]}
    new = {**v, **v["new"]}
    new_key = decoder_key(new)
    parts = [new_key[i : i + 32] for i in range(0, len(new_key), 32)]
    ken = bits(new["key_expiry"], 8)
    sgc = bits(int(new["sgc"]), 24)
    first = ken[:4] + bits(new["key_revision"], 4) + bits(v["rollover"], 1) + "0"
    first += bits(new["key_type"], 2) + parts[0]
    second = ken[4:] + bits(int(new["tariff_index"]), 8) + parts[-1]
    sections = [(3, first), (4, second)]
    if len(parts) == 4:
        sections += [(8, sgc[12:] + parts[1]), (9, sgc[:12] + parts[2])]
    return [finish(seal(2, subclass, data), decoder_key(old)) for subclass, data in sections]


def class1_of(v: Vector) -> str:
    control = v["control"] if isinstance(v["control"], int) else int(v["control"], 16)
    if v["manufacturer_digits"] == 2:
        data = bits(control, 36) + bits(v["manufacturer"], 8)
    else:
        data = bits(control, 28) + bits(v["manufacturer"], 16)
    return finish(seal(1, v["subclass"], data), None)


def encode_vector(v: Vector) -> list[str]:
    """Return the digits that a vector asks for, one string a token."""
    if v["kind"] == "key_change":
        return key_change_of(v)
    return [class1_of(v) if v["kind"] == "class1" else token_of(v)]
