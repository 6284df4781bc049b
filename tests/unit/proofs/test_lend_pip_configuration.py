from pathlib import Path

from tests.proofs.lend_pip_configuration import move_paths, parse_listing


def test_environment_wins_over_the_files() -> None:
    listing = ":env:.index-url='file:///a'\nglobal.index-url='file:///b'\nuser.cert='/c'\n"
    assert parse_listing(listing) == {"index-url": "file:///a", "cert": "/c"}


def test_settings_of_taste_are_left_out() -> None:
    assert parse_listing("global.no-color='true'\nnot a setting\n") == {}


def test_file_that_is_named_is_lent_and_renamed(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.crt"
    certificate.write_text("", "utf-8")
    assert move_paths({"cert": str(certificate)}, "/run/lent") == (
        {"cert": "/run/lent/0"},
        [(certificate, "/run/lent/0")],
    )


def test_local_index_is_lent_with_the_files_beside_it(tmp_path: Path) -> None:
    simple = tmp_path / "simple"
    simple.mkdir()
    assert move_paths({"extra-index-url": f"file://{simple}"}, "/run/lent") == (
        {"extra-index-url": "file:///run/lent/0/simple"},
        [(tmp_path, "/run/lent/0")],
    )


def test_address_and_missing_path_stay_as_they_are() -> None:
    settings = {"index-url": "https://mirror.test/x", "find-links": "/no/such/folder"}
    assert move_paths(settings, "/run/lent") == (settings, [])
