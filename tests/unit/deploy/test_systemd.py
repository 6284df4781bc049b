import re
from pathlib import Path

import pytest

UNITS = ("vending.service", "vending-worker.service")
HARDENING = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "MemoryDenyWriteExecute": "yes", "CapabilityBoundingSet": "", "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes", "RestrictNamespaces": "yes", "SystemCallArchitectures": "native",
}  # fmt: skip


def read_unit(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_unit_is_shut_in(deploy: Path, unit: str) -> None:
    settings = read_unit(deploy / "systemd" / unit)
    for name, value in HARDENING.items():
        assert settings[name] == [value], name
    assert settings["User"] == ["vending"]
    assert settings["StateDirectory"] == ["vending"]


@pytest.mark.parametrize("unit", UNITS)
def test_keys_reach_neither_swap_nor_a_core_file(deploy: Path, unit: str) -> None:
    settings = read_unit(deploy / "systemd" / unit)
    assert settings["LimitCORE"] == ["0"]
    assert settings["MemorySwapMax"] == ["0"]


@pytest.mark.parametrize("unit", [*UNITS, "postgresql.conf"])
def test_each_secret_is_a_credential_and_read_from_its_file(deploy: Path, unit: str) -> None:
    settings = read_unit(deploy / "systemd" / unit)
    secrets = [name for value in settings["Environment"] for name in value.split() if "%d" in name]
    credentials = [value.split(":")[0] for value in settings["LoadCredential"]]
    assert credentials
    for credential in credentials:
        assert f"VENDING_{credential.upper()}_FILE=%d/{credential}" in secrets


@pytest.mark.parametrize("unit", UNITS)
def test_units_run_the_current_release(deploy: Path, unit: str) -> None:
    (command,) = read_unit(deploy / "systemd" / unit)["ExecStart"]
    assert re.fullmatch(r"/opt/vending/current/bin/vending (serve|worker)", command)


def test_target_starts_every_unit(deploy: Path) -> None:
    wanted = " ".join(read_unit(deploy / "systemd" / "vending.target")["Wants"])
    for unit in UNITS:
        assert unit in wanted
        assert read_unit(deploy / "systemd" / unit)["PartOf"] == ["vending.target"]


def test_units_differ_only_in_what_they_are_for(deploy: Path) -> None:
    service, worker = (read_unit(deploy / "systemd" / unit) for unit in UNITS)
    differing = {name for name in service | worker if service.get(name) != worker.get(name)}
    assert differing == {
        "Description", "ExecStart", "PrivateDevices", "PrivateUsers", "DevicePolicy",
        "DeviceAllow", "SupplementaryGroups",
    }  # fmt: skip
