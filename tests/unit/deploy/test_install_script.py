import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def test_packages_come_from_the_lock_files_by_hash(install_script: str) -> None:
    installs = re.findall(r"^ *run_pip .*?(?:[^\\]\n)", install_script, re.MULTILINE | re.DOTALL)
    installs = [text for text in installs if " install " in text]
    assert len(installs) == 3
    locked = [text for text in installs if "--requirement" in text]
    assert len(locked) == 2
    for text in locked:
        assert "--require-hashes" in text
        assert "--only-binary :all:" in text
    (own,) = set(installs) - set(locked)
    assert "--no-index --no-deps" in own


def test_project_is_built_without_fetching_a_build_backend(install_script: str) -> None:
    assert "wheel --quiet --no-deps --no-build-isolation" in install_script


@pytest.mark.parametrize("name", ["build.txt", "run.txt"])
def test_every_locked_package_has_a_hash_and_no_index_is_named(name: str) -> None:
    text = (ROOT / ".locks" / name).read_text("utf-8")
    pins = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    assert pins
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    assert "://" not in text


def test_no_index_address_is_in_any_deployment_file(deploy: Path) -> None:
    proofs = ROOT / "tests" / "proofs"
    for path in [*deploy.rglob("*"), *proofs.iterdir(), ROOT / "Dockerfile", ROOT / "compose.yaml"]:
        if path.is_file() and path.suffix != ".pyc":
            text = path.read_text("utf-8")
            assert not re.search(r"--(extra-)?index-url|pypi\.org|/simple\b", text), path


def test_each_step_listed_is_a_step_and_each_step_is_listed(install_script: str) -> None:
    described = set(re.findall(r"^#   ([a-z-]+) +\w", install_script, re.MULTILINE))
    defined = {
        n.replace("_", "-") for n in re.findall(r"^step_(\w+)\(\)", install_script, re.MULTILINE)
    }
    taken = set(re.findall(r"^ {8}([a-z-]+)\) step_", install_script, re.MULTILINE))
    assert described == defined == taken


def test_project_version_is_found_by_the_script(
    install_script: str, project: dict[str, dict[str, str]]
) -> None:
    function = re.search(
        r"^project_version\(\) \{\n.+?^\}$", install_script, re.MULTILINE | re.DOTALL
    )
    assert function is not None
    done = subprocess.run(
        ["sh", "-euc", f'{function[0]}\nsource_dir="$1"\nproject_version', "sh", str(ROOT)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == project["project"]["version"]


@pytest.mark.parametrize("release", ["../../etc", ".hidden", "a b", "a;b"])
def test_release_name_that_leaves_its_folder_is_refused(deploy: Path, release: str) -> None:
    done = subprocess.run(
        ["sh", str(deploy / "install.sh"), "no-such-step"],
        env={"RELEASE": release, "PATH": "/usr/bin:/bin"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot name a release" in done.stderr


def test_shell_scripts_parse(deploy: Path) -> None:
    scripts = [*deploy.glob("*.sh"), deploy / "vending-admin"]
    for script in scripts:
        assert script.stat().st_mode & 0o111, script
        subprocess.run(["sh", "-n", str(script)], check=True)
    subprocess.run(["bash", "-n", str(ROOT / "tests/proofs/proof_install.sh")], check=True)


def test_make_secrets_writes_each_once_and_never_over_another(deploy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    command = ["sh", str(deploy / "make-secrets.sh"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    written = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    assert len(set(written.values())) == len(written) == 5
    assert re.fullmatch(r"[0-9a-f]{64}\n", written["key_store_passphrase"])
    assert written["service_password"].strip() in written["database_url"]
    assert written["owner_password"].strip() in written["owner_database_url"]

    again = subprocess.run(command, check=False, capture_output=True, text=True)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == written
