import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from vending.observability.logs import configure_logs, get_logger

SECRET = "70630503470028726114"


class Written:
    """What has been logged since it was last asked."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def read(self) -> str:
        return self._capture.readouterr().err


@pytest.fixture
def stream(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield Written(capsys)
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def fail_with_a_secret() -> None:
    secret = SECRET
    message = f"token {secret}"
    raise ValueError(message)


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_trace_is_logged_without_secrets_and_without_local_variables(
    stream: Written, log_format: Literal["json", "console"]
) -> None:
    configure_logs(level="info", log_format=log_format)
    try:
        fail_with_a_secret()
    except ValueError:
        get_logger("test").exception("failed")
    written = stream.read()
    assert "fail_with_a_secret" in written
    assert "ValueError" in written
    assert SECRET not in written


def test_line_is_one_json_object(stream: Written) -> None:
    configure_logs(level="info", log_format="json")
    get_logger("test").info("happened", count=2)
    line = json.loads(stream.read())
    assert (line["event"], line["count"], line["level"]) == ("happened", 2, "info")
    assert line["logger"] == "test"


def test_libraries_go_the_same_way(stream: Written) -> None:
    configure_logs(level="info", log_format="json")
    logging.getLogger("some.library").warning("got %s", SECRET)
    line = json.loads(stream.read())
    assert line["event"] == "got ****6114"


def test_talkative_libraries_are_heard_from_warnings_on(stream: Written) -> None:
    configure_logs(level="debug", log_format="json")
    for name in ("alembic.runtime.migration", "uvicorn.access"):
        logging.getLogger(name).info("talk")
        assert stream.read() == ""
        logging.getLogger(name).warning("trouble")
        assert "trouble" in stream.read()


def test_level_bounds_what_is_logged(stream: Written) -> None:
    configure_logs(level="error", log_format="json")
    get_logger("test").warning("unheard")
    logging.getLogger("alembic").warning("unheard")
    assert stream.read() == ""


def test_configuring_twice_writes_each_line_once(stream: Written) -> None:
    configure_logs(level="info", log_format="json")
    configure_logs(level="info", log_format="json")
    get_logger("test").info("once")
    assert stream.read().count("\n") == 1


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_value_with_control_characters_forges_no_line(
    stream: Written, log_format: Literal["json", "console"]
) -> None:
    configure_logs(level="info", log_format=log_format)
    forged = "ann\n2026-11-25 [info] key_imported\r\x1b[2J\x9b1A"
    get_logger("test").warning(
        "sign_in_refused", name=forged, note={"inner": forged}, short="\x1b[2J", last="a\x9bb"
    )
    written = stream.read()
    assert written.count("\n") == 1
    assert not any(each in written for each in "\x1b\r\x9b")
