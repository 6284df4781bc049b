import dataclasses

from vending.sts.module_messages import ANSWERS_BY_LETTERS, REQUESTS_BY_HEADER, ModuleStatus


def test_every_record_lists_its_attributes_in_the_order_of_the_line() -> None:
    for message in (*REQUESTS_BY_HEADER.values(), *ANSWERS_BY_LETTERS.values()):
        names = [field.name for field in dataclasses.fields(message.record)]  # type: ignore[arg-type]  # a record class
        assert list(dict.fromkeys(name for name, _ in message.fields)) == names


def test_statuses_are_two_characters_and_differ() -> None:
    codes = [status.code for status in ModuleStatus]
    assert all(len(code) == 2 for code in codes)
    assert len(set(codes)) == len(codes) == 18
