from tests.vectors.sts import naive_sts
from vending.sts.crc import compute_crc, compute_crc_arc, compute_crc_c


def test_crc_of_the_worked_example_stands_low_byte_first() -> None:
    assert compute_crc(0x05014EEC0001) == 0x3188


def test_crc_c_covers_one_byte_more() -> None:
    protected = naive_sts.bits(0x05014EEC0001, 50)
    assert compute_crc_c(0x05014EEC0001) == int(naive_sts.token_crc(protected, currency=True), 2)
    assert compute_crc_c(0x05014EEC0001) != compute_crc(0x05014EEC0001)


def test_crc_arc_of_its_published_check_string() -> None:
    assert compute_crc_arc(b"123456789") == 0xBB3D


def test_every_single_bit_flip_changes_the_crc() -> None:
    crcs = {compute_crc(0x05014EEC0001 ^ 1 << place) for place in range(50)}
    assert compute_crc(0x05014EEC0001) not in crcs
    assert len(crcs) == 50
