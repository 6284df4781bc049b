import pytest

from vending.api.router import parse_json


def test_document_is_read() -> None:
    assert parse_json(b'{"a": [1, {"b": null}], "c": "\xc3\xa9"}') == {
        "a": [1, {"b": None}],
        "c": "\u00e9",
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"NaN", b"[Infinity]", b'{"a": -Infinity}', b'{"a": 1, "a": 1}',
     b'[{"a": 1, "a": 2}]', b'{"a": 1, "\\u0061": 2}', b"\xef\xbb\xbf{}"],
)  # fmt: skip
def test_what_is_vague_or_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 # several texts, none of ours to compare
        parse_json(body)
