"""`make sbom`: what is installed, as CycloneDX."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.conftest import ROOT
from tests.unit.test_deploy import locked_versions


def test_the_sbom_of_the_image_names_every_package_of_its_lock_with_its_hashes(
    checkout: Path, stranger_environ: Mapping[str, str]
) -> None:
    command = ["make", "--no-print-directory", "sbom", "SBOMS=image"]
    done = subprocess.run(command, cwd=checkout, env=stranger_environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "sbom/image.cdx.json"
    bom = json.loads((checkout / "sbom" / "image.cdx.json").read_text(encoding="utf-8"))
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert bom["metadata"]["component"]["name"] == "courtlistener-assets"
    found = {each["name"]: each["version"] for each in bom["components"]}
    assert found == locked_versions(ROOT / "deploy" / "docker" / "requirements.lock")
    assert all(reference["hashes"] for each in bom["components"] for reference in each["externalReferences"])
    assert {each["purl"] for each in bom["components"]} >= {f"pkg:pypi/dagster@{found['dagster']}"}
