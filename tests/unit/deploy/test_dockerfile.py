import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def instructions(dockerfile: str, name: str) -> list[str]:
    joined = dockerfile.replace("\\\n", " ")
    return [line[len(name) + 1 :] for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_image_runs_as_a_numbered_account_that_is_not_root(dockerfile: str) -> None:
    last_stage = dockerfile.rsplit("\nFROM ", 1)[1]
    users = instructions(last_stage, "USER")
    assert len(users) == 1
    number = users[0].split(":")[0]
    assert number.isdigit()
    assert int(number) > 0
    assert f"USER_ID={number} " in last_stage


def test_every_install_step_is_the_script_that_the_proof_runs(
    dockerfile: str, proof_script: str
) -> None:
    runs = instructions(dockerfile, "RUN")
    assert len(runs) == 3
    for run in runs:
        command = re.sub(r"--mount=\S+\s+|USER_ID=\d+\s+", "", run).strip()
        first, _, rest = command.partition(" && ")
        assert re.fullmatch(r"(/src/)?docs/deploy/install\.sh( [a-z-]+)+", first), run
        assert rest in {"", "rm -r /src"}
    assert "/usr/src/vending/docs/deploy/install.sh" in proof_script


def test_image_takes_the_same_steps_as_a_machine(dockerfile: str, install_script: str) -> None:
    taken = {
        step
        for run in instructions(dockerfile, "RUN")
        for step in run.split("install.sh ")[1].split(" && ")[0].split()
    }
    default = re.search(r"\|\| set -- (.+)", install_script)
    assert default is not None
    wanted = set(default[1].split()) - {"build"}
    wanted |= {"build-packages", "dependencies", "application"}
    assert taken == wanted | {"clean"}


def test_base_image_is_named_once_with_its_release(dockerfile: str) -> None:
    assert re.findall(r"^ARG DEBIAN=(\S+)$", dockerfile, re.MULTILINE) == ["debian:bookworm-slim"]
    assert [line.split()[0] for line in instructions(dockerfile, "FROM")] == ["${DEBIAN}"] * 2


def test_health_is_asked_with_the_standard_library(dockerfile: str) -> None:
    (check,) = instructions(dockerfile, "HEALTHCHECK")
    assert "urllib.request" in check
    assert "/healthz" in check
    program = re.search(r'"-c", "(.+)"\]', check)
    assert program is not None
    compile(program[1], "healthcheck", "exec")


def test_image_holds_no_secret(dockerfile: str) -> None:
    assert not re.search(r"(?i)passphrase|password|token=", dockerfile)


def test_build_context_is_an_allow_list() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:].rstrip("/") for rule in rules if rule.startswith("!")}
    assert ".git" not in allowed
    assert ".env" not in allowed
    for name in allowed:
        assert (ROOT / name).exists(), name
