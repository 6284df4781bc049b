import pytest

from meter_drivers.protocols.dlt645.identifiers import (
    DATA_ITEMS,
    Form,
    find_item,
    identifier_of,
)

FIXED_SIZES = {
    Form.STATUS_WORD_3: 2,
    Form.DATE: 4,
    Form.TIME: 3,
    Form.DATE_AND_TIME: 7,
    Form.MINUTE: 5,
    Form.DEMAND: 8,
}


def test_names_and_patterns_are_unique() -> None:
    assert len({item.name for item in DATA_ITEMS}) == len(DATA_ITEMS)
    assert len({item.pattern for item in DATA_ITEMS}) == len(DATA_ITEMS)


@pytest.mark.parametrize("item", DATA_ITEMS, ids=lambda item: item.name)
def test_row_is_found_by_its_name_and_its_identifier(item: object) -> None:
    row = next(each for each in DATA_ITEMS if each is item)
    places = {"k": 1, "r": 1}
    found = find_item(identifier_of(row.name, **places))
    assert found is row
    assert FIXED_SIZES.get(row.form, row.size_bytes) == row.size_bytes


@pytest.mark.parametrize(
    ("name", "places", "identifier"),
    [
        ("energy.import", {}, 0x00010000),
        ("energy.import", {"n": 2, "p": 1}, 0x00010201),
        ("voltage", {"f": 1}, 0x02010100),
        ("purchase.amount", {"r": 10}, 0x0333030A),
        ("limit.hoarding", {}, 0x04001004),
        ("price.tariff", {"k": 4}, 0x04050104),
    ],
)
def test_identifier_is_made_of_name_and_places(
    name: str, places: dict[str, int], identifier: int
) -> None:
    assert identifier_of(name, **places) == identifier


def test_name_that_is_none_is_told() -> None:
    with pytest.raises(KeyError, match="nonsense"):
        identifier_of("nonsense")


@pytest.mark.parametrize("identifier", [0x00014000, 0x0001000D, 0x0333010B, 0x04060100, 0x9010])
def test_identifier_out_of_the_table_has_no_row(identifier: int) -> None:
    assert find_item(identifier) is None


@pytest.mark.parametrize(
    ("identifier", "is_block"),
    [(0x0001FF00, True), (0x0001FFFF, True), (0x00010000, False), (0x0201FF00, True)],
)
def test_block_is_told_by_ff(identifier: int, is_block: bool) -> None:  # noqa: FBT001
    item = find_item(identifier)
    assert item is not None
    assert item.is_block(identifier) is is_block
