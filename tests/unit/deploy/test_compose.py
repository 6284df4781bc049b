import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PRODUCT = ("migrate", "service", "worker")
OURS = re.compile(r"^prepaid-vending:\$\{RELEASE:-(?P<release>[\d.]+)\}$")
# A tag that names at least a major version: a pull next month brings the same series.
PINNED = re.compile(r"^[a-z]+:\d+(\.\d+)*-[a-z]+$")

Services = dict[str, dict[str, Any]]


def test_the_parts_are_these(services: Services) -> None:
    assert set(services) == {"migrate", "service", "worker", "postgres", "proxy"}


def test_every_container_is_shut_in(services: Services) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped")
        assert {"mem_limit", "cpus", "pids_limit", "logging"} <= set(service), name
    assert [name for name, service in services.items() if "cap_add" in service] == ["proxy"]


@pytest.mark.parametrize("name", [*PRODUCT, "postgres"])
def test_what_holds_data_runs_as_a_numbered_account(services: Services, name: str) -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", services[name]["user"])


def test_product_runs_as_the_account_of_the_image(services: Services, dockerfile: str) -> None:
    for name in PRODUCT:
        assert f"\nUSER {services[name]['user']}\n" in dockerfile


@pytest.mark.parametrize("name", PRODUCT)
def test_keys_reach_neither_swap_nor_a_core_file(services: Services, name: str) -> None:
    service = services[name]
    assert service["memswap_limit"] == service["mem_limit"]
    assert service["ulimits"]["core"] == 0


def test_image_tags_are_pinned(services: Services, project: dict[str, Any]) -> None:
    for name, service in services.items():
        if name in PRODUCT:
            match = OURS.match(service["image"])
            assert match is not None
            assert match["release"] == project["project"]["version"]
        else:
            assert PINNED.match(service["image"]), service["image"]


def test_proxy_and_database_share_no_network(services: Services) -> None:
    assert not set(services["proxy"]["networks"]) & set(services["postgres"]["networks"])


def test_only_worker_and_proxy_have_a_way_out(services: Services, compose: dict[str, Any]) -> None:
    internal = {name for name, network in compose["networks"].items() if network.get("internal")}
    outward = {name for name, service in services.items() if set(service["networks"]) - internal}
    assert outward == {"worker", "proxy"}


def test_only_the_proxy_publishes_ports(services: Services) -> None:
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]


def test_secrets_are_files_and_each_has_a_reader(
    services: Services, compose: dict[str, Any]
) -> None:
    for name, secret in compose["secrets"].items():
        assert secret == {"file": f"${{SECRETS_DIR:-/etc/vending/secrets}}/{name}"}
    read = {name for service in services.values() for name in service.get("secrets", [])}
    assert read == set(compose["secrets"])


def test_no_secret_stands_in_the_environment(services: Services) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASS|SECRET|TOKEN|_URL", name):
                assert name.endswith("_FILE"), name
                assert value.startswith("/run/secrets/")
                assert value.removeprefix("/run/secrets/") in service["secrets"]


def test_service_and_worker_do_not_get_the_owner_of_the_tables(services: Services) -> None:
    for name in ("service", "worker"):
        assert services[name]["secrets"] == ["database_url", "key_store_passphrase"]


def test_service_starts_after_the_migration(services: Services) -> None:
    for name in ("service", "worker"):
        condition = services[name]["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"


def test_database_keeps_what_it_committed(services: Services) -> None:
    command = services["postgres"]["command"]
    for setting in ("fsync=on", "full_page_writes=on", "synchronous_commit=on"):
        assert setting in command
    assert "--data-checksums" in services["postgres"]["environment"]["POSTGRES_INITDB_ARGS"]


def test_state_lies_in_declared_volumes_and_mounted_files_exist(
    services: Services, compose: dict[str, Any]
) -> None:
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert volume.endswith(":ro")
                assert (ROOT / source).is_file(), source
            else:
                assert source in compose["volumes"]


def test_secret_maker_makes_every_secret(compose: dict[str, Any], deploy: Path) -> None:
    made = re.findall(
        r"^write (\w+) ", (deploy / "make-secrets.sh").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(made) == sorted(compose["secrets"])
