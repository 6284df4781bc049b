from meter_drivers.protocols.iec62056_21.bcc import add_even_parity, compute_bcc, has_even_parity


def test_bcc_of_the_break_is_the_published_one() -> None:
    assert compute_bcc(b"B0\x03") == 0x71


def test_parity_is_that_measured_on_a_line() -> None:
    assert add_even_parity(b"/?!\r\n") == bytes.fromhex("AF3F218D0A")


def test_every_character_gets_even_parity() -> None:
    sent = add_even_parity(bytes(range(128)))
    assert all(has_even_parity(octet) for octet in sent)
    assert bytes(octet & 0x7F for octet in sent) == bytes(range(128))
