"""The commands `meterctl profiles`: what models there are, and whether a file of one is right."""

import json
from typing import Annotated

import typer

from meter_drivers.errors import ProfileError
from meter_drivers.profiles.loader import list_profiles, load_profile

profiles_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Meter models: list them, check a file."
)

JSONOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@profiles_app.command("list")
def list_(*, as_json: JSONOption = False) -> None:
    """List the built-in profiles, and how well each is known."""
    rows = []
    for name in list_profiles():
        profile = load_profile(name)
        source = profile.source
        rows.append(
            {
                "name": name,
                "model": f"{profile.maker} {profile.model}",
                "protocol": profile.protocol,
                "confidence": source.confidence,
                "verification": source.verification,
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        typer.echo(
            f"{row['name']}: {row['model']}, {row['protocol']}, confidence {row['confidence']}, "
            f"verification {row['verification']}"
        )


@profiles_app.command()
def check(
    files: Annotated[
        list[str] | None, typer.Argument(help="Paths of .toml files; none: the built-in ones.")
    ] = None,
    *,
    as_json: JSONOption = False,
) -> None:
    """Check profiles: the first thing wrong in each, with its key and what to do about it.

    Raises:
        typer.Exit: With 1 if something is wrong.
    """
    checked = {name: _find_fault(name) for name in files or list_profiles()}
    if as_json:
        typer.echo(json.dumps(checked, indent=2, ensure_ascii=False))
    else:
        for name, fault in checked.items():
            typer.echo(f"{name}: good" if fault is None else fault)
    if any(fault is not None for fault in checked.values()):
        raise typer.Exit(1)


def _find_fault(name: str) -> str | None:
    try:
        load_profile(name)
    except ProfileError as error:
        return str(error)
    return None
