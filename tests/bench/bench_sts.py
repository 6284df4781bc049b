"""Measures token issue against the bit-by-bit form: `python tests/bench/bench_sts.py`.

Two figures on one core: the cipher alone with its key schedule kept, and a full issue for a new
meter each time (derive under DKGA04, encrypt, digits). The naive form runs in the same process
and on the same input, so that the ratios hold on any machine. Exits 1 if a target is missed.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.vectors.sts import naive_sts
from vending.sts import (
    SGC,
    TI,
    BaseDate,
    EncryptionAlgorithm,
    KeyAttributes,
    KeyDerivation,
    KeyType,
    MeterPAN,
    Resource,
    TokenIdentifier,
    TransferCredit,
    VendingKey,
    encode,
    luhn_check_digit,
)
from vending.sts.bits import Bits64
from vending.sts.dkga import derive_decoder_key
from vending.sts.hazmat.sta import STA

CIPHER_RATIO_TARGET = 10
ISSUE_RATIO_TARGET = 2
ISSUES_PER_S_TARGET = 10_000
NAIVE_SHARE = 20
"""The naive form runs one in so many of the inputs; it is that much slower."""

BEST_OF = 3
ATTRIBUTES = KeyAttributes(
    sgc=SGC("201457"),
    kt=KeyType.DUTK,
    krn=1,
    ken=255,
    base_date=BaseDate.Y2014,
    dkga=KeyDerivation.DKGA04,
)
TARIFF_INDEX = TI("01")
ISSUED = "2026-07-11 00:55"
TID = TokenIdentifier(int(naive_sts.tid_bits(ISSUED, ATTRIBUTES.base_date), 2))


def rate_per_s(work: Callable[[], object], count: int) -> float:
    """Return how many of `count` pieces of work pass in a second, the best of a few runs."""
    best_s = float("inf")
    for _ in range(BEST_OF):
        start = time.perf_counter()
        work()
        best_s = min(best_s, time.perf_counter() - start)
    return count / best_s


def draw(seed: int, subject: str, count: int) -> list[int]:
    """Return numbers of 64 bits, the same for the same seed on every machine."""
    stream = hashlib.shake_256(f"{seed} {subject}".encode()).digest(8 * count)
    return [int.from_bytes(stream[at : at + 8], "big") for at in range(0, len(stream), 8)]


def make_pan(number: int) -> MeterPAN:
    body = f"{number % 10**10:010}"
    return MeterPAN.from_drn(body + luhn_check_digit(body))


def issue(key: VendingKey, pan: MeterPAN, units: int) -> str:
    decoder_key = derive_decoder_key(key, pan=pan, ti=TARIFF_INDEX, ea=EncryptionAlgorithm.STA)
    credit = TransferCredit(resource=Resource.ELECTRICITY, rnd=5, tid=TID, units=units)
    return encode(credit, decoder_key)


def issue_naively(key: VendingKey, pan: MeterPAN, units: int) -> str:
    return naive_sts.token_of(
        {
            "kind": "credit",
            "subclass": 0,
            "rnd": 5,
            "issued": ISSUED,
            "units": units,
            "pan": pan.digits,
            "dkga": 4,
            "ea": 7,
            "sgc": ATTRIBUTES.sgc.digits,
            "base_date": int(ATTRIBUTES.base_date),
            "vending_key": key.material.hex(),
            "key_type": int(ATTRIBUTES.kt),
            "key_revision": ATTRIBUTES.krn,
            "tariff_index": TARIFF_INDEX.digits,
        }
    )


def measure(seed: int, size: int) -> dict[str, float]:
    key = VendingKey(ATTRIBUTES, hashlib.sha256(f"{seed}".encode()).digest()[:20])
    pans = list(map(make_pan, draw(seed, "meters", size)))
    units = [number % 20_000 for number in draw(seed, "units", size)]
    blocks = list(map(Bits64, draw(seed, "blocks", size)))
    material = key.material[:8]
    few = max(1, size // NAIVE_SHARE)

    cipher, naive_key = STA(material), naive_sts.from_hex(material.hex())
    texts = [naive_sts.bits(block, 64) for block in blocks[:few]]
    for block, text in zip(blocks, texts, strict=False):
        if naive_sts.number(naive_sts.sta_encrypt(naive_key, text)) != cipher.encrypt(block):
            sys.exit("the two forms of the cipher disagree")
    for pan, amount in zip(pans[:few], units, strict=False):
        if issue(key, pan, amount) != issue_naively(key, pan, amount):
            sys.exit("the two forms of the issue disagree")

    return {
        "cipher_per_s": rate_per_s(lambda: [cipher.encrypt(block) for block in blocks], size),
        "naive_cipher_per_s": rate_per_s(
            lambda: [naive_sts.sta_encrypt(naive_key, text) for text in texts], few
        ),
        "issue_per_s": rate_per_s(lambda: list(map(issue, [key] * size, pans, units)), size),
        "naive_issue_per_s": rate_per_s(
            lambda: list(map(issue_naively, [key] * few, pans, units)), few
        ),
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=5000, help="meters, and blocks")
    parser.add_argument("--json", action="store_true", help="end with the figures as JSON")
    options = parser.parse_args(arguments)

    figures = measure(options.seed, max(1, options.size))
    cipher_ratio = figures["cipher_per_s"] / figures["naive_cipher_per_s"]
    issue_ratio = figures["issue_per_s"] / figures["naive_issue_per_s"]
    met = (
        cipher_ratio >= CIPHER_RATIO_TARGET
        and issue_ratio >= ISSUE_RATIO_TARGET
        and figures["issue_per_s"] >= ISSUES_PER_S_TARGET
    )
    line = (
        f"sts: {'met' if met else 'MISSED'}; "
        f"cipher {figures['cipher_per_s']:.0f}/s, {cipher_ratio:.1f}x naive "
        f"(target {CIPHER_RATIO_TARGET}x); "
        f"issue for a new meter {figures['issue_per_s']:.0f}/s (target {ISSUES_PER_S_TARGET}/s), "
        f"{issue_ratio:.1f}x naive (target {ISSUE_RATIO_TARGET}x)"
    )
    summary = {**figures, "cipher_ratio": cipher_ratio, "issue_ratio": issue_ratio, "met": met}
    sys.stdout.write((json.dumps(summary) if options.json else line) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
