import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.installed import REGISTER, bring_in_a_key, bring_in_a_tariff

PUBLISHED = Path(__file__).parents[4] / "tests/vectors/sts/published.json"
TOKEN = "70630503470028726114"
PAN = "600727000000000009"


def vectors() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(PUBLISHED.read_text("utf-8"))["vectors"]
    return listed


def test_published_vectors_agree(bare: CommandLine) -> None:
    told = bare.json("sts", "conformance", str(PUBLISHED), data=False)
    assert told.code == 0
    assert told.document["failed"] == 0
    assert told.document["total"] == len(vectors()) == len(told.document["vectors"])
    for_people = bare.run("sts", "conformance", str(PUBLISHED), data=False)
    assert f"{len(vectors())} of {len(vectors())} vectors agree" in for_people.out


def test_one_wrong_vector_is_named_and_exits_with_1(bare: CommandLine) -> None:
    wrong = vectors()[:3]
    wrong[1] = {**wrong[1], "token": TOKEN[:-1] + "5"}
    path = bare.write("wrong.json", json.dumps({"vectors": wrong}))
    told = bare.json("sts", "conformance", path, data=False)
    assert told.error == "vectors_differ"
    assert (told.document["total"], told.document["failed"]) == (3, 1)
    assert [one["passed"] for one in told.document["vectors"]] == [True, False, True]
    for_people = bare.run("sts", "conformance", path, data=False)
    assert for_people.code == 1
    assert f"{wrong[1]['id']}  credit  differs" in for_people.out


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "vector_file_unreadable"),
        ("[" * 100_000, "vector_file_unreadable"),
        ("{}", "sts_vector"),
        ('{"vectors": []}', "sts_vector"),
        ("7", "sts_vector"),
        ('{"vectors": [1]}', "vectors_differ"),
        ('{"vectors": [{"kind": "x"}]}', "vectors_differ"),
    ],
    ids=lambda text: text[:20],
)
def test_file_that_is_none_is_refused(bare: CommandLine, text: str, code: str) -> None:
    path = bare.write("bad.json", text)
    assert bare.json("sts", "conformance", path, data=False).error == code


def test_file_that_is_missing_or_no_text_is_refused(bare: CommandLine) -> None:
    missing = bare.json("sts", "conformance", "missing.json", data=False)
    assert missing.error == "vector_file_unreadable"
    path = Path("binary.json")
    path.write_bytes(b"\xff\xfe\x00")
    assert bare.json("sts", "conformance", str(path), data=False).error == "vector_file_unreadable"


# --- decode --------------------------------------------------------------------------------------
@pytest.fixture
def keyed(shell: CommandLine) -> CommandLine:
    bring_in_a_key(shell)
    return shell


def test_token_is_explained_under_a_key_that_is_named(keyed: CommandLine) -> None:
    told = keyed.json("sts", "decode", TOKEN, "--meter", PAN, *REGISTER).document
    assert (told["result"], told["digits"]) == ("accepted", "7063 0503 4700 2872 6114")
    assert "0.1" in str(told)


@pytest.mark.parametrize("written", [["7063", "0503", "4700", "2872", "6114"],
                                     ["7063-0503-4700-2872-6114"]])  # fmt: skip
def test_token_may_be_written_in_groups(keyed: CommandLine, written: list[str]) -> None:
    assert keyed.json("sts", "decode", *written, "--meter", PAN, *REGISTER).code == 0


def test_token_of_another_meter_is_rejected_and_that_is_an_answer(keyed: CommandLine) -> None:
    told = keyed.json("sts", "decode", TOKEN, "--meter", "01234567897", *REGISTER)
    assert told.code == 0
    assert told.document["result"] != "accepted"


@pytest.mark.parametrize("digits", ["1", "9" * 20, "x" * 20, "\u0661" * 20])
def test_digits_that_are_no_token_are_told_so(keyed: CommandLine, digits: str) -> None:
    told = keyed.json("sts", "decode", digits, "--meter", PAN, *REGISTER)
    assert (told.code, told.document["result"]) == (0, "FormatError")


@pytest.mark.parametrize(
    ("token", "more", "code"),
    [
        (TOKEN, (), "meter_key_unknown"),
        (TOKEN, ("--sgc", "201457"), "meter_key_unknown"),
        (TOKEN, ("--sgc", "999999", "--krn", "1"), "key_not_found"),
        (TOKEN, ("--sgc", "201457", "--krn", "99"), "usage"),
        (TOKEN, (*REGISTER, "--ea", "9"), "sts_unsupported"),
        (TOKEN, (*REGISTER, "--kt", "7"), "sts_field_range"),
        (TOKEN, (*REGISTER, "--ti", "x"), "sts_field_format"),
    ],
)
def test_token_that_cannot_be_read_is_refused(
    keyed: CommandLine, token: str, more: tuple[str, ...], code: str
) -> None:
    assert keyed.json("sts", "decode", token, "--meter", PAN, *more).error == code


def test_token_is_explained_under_the_key_of_a_registered_meter(keyed: CommandLine) -> None:
    bring_in_a_tariff(keyed, "--price", "1")
    columns = "drn,sgc,krn,kt,ti,ea,dkga,base_date,tariff_code,currency"
    path = keyed.write("m.csv", f"{columns}\n{PAN},201457,1,2,01,7,4,2014,RES-1,KES\n")
    assert keyed.json("import", "meters", path).code == 0
    assert keyed.json("sts", "decode", TOKEN, "--meter", PAN).document["result"] == "accepted"


def test_section_of_a_key_change_is_told_without_its_key(keyed: CommandLine) -> None:
    told = keyed.json("sts", "decode", "06510894141453018386", "--meter", PAN, *REGISTER)
    assert told.code == 0
    assert told.document["token"] == "Set1stSectionDecoderKey"
    assert "87f3ccbb" not in told.out.lower()


@pytest.mark.parametrize("text", ["[" * 100_000, "\ufeff{}"])
def test_file_that_is_nested_or_marked_oddly_is_refused_clearly(
    shell: CommandLine, text: str
) -> None:
    assert shell.json("sts", "conformance", shell.write("f.json", text), data=False).code == 1
