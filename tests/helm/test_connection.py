"""What `helm test` runs is run on the program itself, as it is told to be open or to take trusted documents alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import Settings
from tests.e2e.conftest import serving
from tests.helm.test_chart import kind, render


@pytest.mark.parametrize("only", [False, True])
def test_helm_test_finds_an_api_that_answers(settings: Settings, tmp_path: Path, only: bool) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"hello": "query Hello { __typename }"}), encoding="utf-8")
    documents = {"KAOPING_TRUSTED_DOCUMENTS": str(manifest), "KAOPING_TRUSTED_ONLY": str(only).lower()}
    [pod] = kind(render({"trustedDocuments": {"configMapName": "documents", "only": only}}), "Pod")
    script = pod["spec"]["containers"][0]["args"][0]
    with serving({**settings.environment(), "KAOPING_LOG_LEVEL": "info", **documents}) as api:
        there, elsewhere = (
            subprocess.run(
                [sys.executable, "-c", script.replace("http://kh-kaoping:80", address)], capture_output=True, text=True
            )
            for address in (api.url, "http://127.0.0.1:1")
        )
    assert (there.returncode, elsewhere.returncode) == (0, 1), there.stderr
    assert json.loads(there.stdout)["status"] == "ready"
