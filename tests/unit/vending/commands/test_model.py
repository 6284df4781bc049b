"""The command's table of states, and what a new command must say."""

import uuid

import pytest

from vending.commands.model import (
    COMMAND_TRANSITIONS,
    TRANSITIONS,
    CommandKind,
    CommandState,
    NewCommand,
    draw_state_diagram,
)
from vending.values.identifiers import MeterId, TokenId


def test_every_state_is_reached_and_each_way_is_listed_once() -> None:
    ways = [(each.origin, each.target) for each in TRANSITIONS]
    assert len(ways) == len(set(ways))
    assert set(COMMAND_TRANSITIONS) == set(CommandState)
    assert {target for _, target in ways} == set(CommandState)


def test_diagram_shows_every_transition() -> None:
    lines = draw_state_diagram().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> queued"]
    assert "    sent --> needs_human: tries run out, or the answer does not tell" in lines
    assert "    superseded --> [*]" in lines
    assert sum(": " in line for line in lines) == len(TRANSITIONS)


@pytest.mark.parametrize(
    ("kind", "token_id"),
    [
        (CommandKind.ENTER_TOKEN, None),
        (CommandKind.DISCONNECT, TokenId(uuid.UUID(int=1))),
    ],
)
def test_new_command_names_a_token_exactly_when_it_enters_one(
    kind: CommandKind, token_id: TokenId | None
) -> None:
    with pytest.raises(AssertionError, match="a token is entered"):
        NewCommand(
            kind=kind,
            meter_id=MeterId(uuid.UUID(int=2)),
            token_id=token_id,
            dedupe_key="key",
            reason="why",
            requested_by="who",
        )
