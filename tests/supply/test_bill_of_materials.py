"""`make sbom` and `make vulnerabilities` do what they say, on a list with known contents."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.supply.licences import locked_packages
from tests.support.documents import ROOT

BIN = Path(sys.executable).parent


class _Advisories(BaseHTTPRequestHandler):
    """Answers as osv.dev does: one advisory for one package, none for the others."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        found = (
            {
                "vulns": [
                    {
                        "id": "PYSEC-2026-1",
                        "summary": "an advisory made for this test",
                        "affected": [
                            {"package": {"name": name, "ecosystem": "PyPI"}, "ranges": []}
                        ],
                    }
                ]
            }
            if name == "typer"
            else {}
        )
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def advisories() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Advisories)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _audit(lock: Path, url: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", "vulnerabilities", f"LOCK={lock}", f"OSV={url}"]
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False
    )


def _lock(tmp_path: Path, *names: str) -> Path:
    path = tmp_path / "lock.txt"
    zeros = "0" * 64
    path.write_text("".join(f"{name}==1.0 --hash=sha256:{zeros}\n" for name in names))
    return path


def test_vulnerable_package_fails_the_audit_and_is_named(advisories: str, tmp_path: Path) -> None:
    done = _audit(_lock(tmp_path, "rich", "typer"), advisories, tmp_path)
    assert done.returncode != 0
    assert "PYSEC-2026-1" in done.stdout
    assert "typer" in done.stdout


def test_packages_without_advisory_pass_the_audit(advisories: str, tmp_path: Path) -> None:
    done = _audit(_lock(tmp_path, "rich"), advisories, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_advisories_out_of_reach_fail_the_audit(tmp_path: Path) -> None:
    done = _audit(_lock(tmp_path, "rich"), "http://127.0.0.1:9", tmp_path)
    assert done.returncode != 0


def test_bill_of_materials_lists_every_locked_package(tmp_path: Path) -> None:
    out = tmp_path / "sbom.cdx.json"
    command = ["make", "--no-print-directory", "sbom", f"SBOM={out}"]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=500, check=True)
    bill = json.loads(out.read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "prepaid-vending"
    listed = {part["name"] for part in bill["components"]}
    assert listed == set(locked_packages())
    assert all(part["version"] for part in bill["components"])
    assert all(part["externalReferences"][0]["hashes"] for part in bill["components"])
