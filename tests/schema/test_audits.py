"""The 61 audits of the npm package graphql-http against the endpoint; needs npm, so it is run by hand."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from schema.asgi import join
from tests.schema.toy import Door, options, serving, toy_schema

SCRIPT = """
import { serverAudits } from 'graphql-http';
const results = [];
// Some of them introspect, which needs a token.
const fetchFn = (url, init = {}) =>
  fetch(url, { ...init, headers: { ...init.headers, authorization: 'Bearer good' } });
for (const audit of serverAudits({ url: process.argv[2], fetchFn })) {
  const { status, reason } = await audit.fn();
  results.push({ id: audit.id, name: audit.name, status, reason });
}
console.log(JSON.stringify(results));
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_all_audits_pass(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    install = ["npm", "install", "--no-audit", "--no-fund", "graphql-http@1.23.1", "graphql@16"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    (tmp_path / "audit.js").write_text(SCRIPT)
    with serving(join(toy_schema(), Door().enter, options())) as address:
        asked = ["node", "audit.js", f"http://{address}/graphql"]
        told = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, timeout=120).stdout
    results = json.loads(told)
    assert len(results) == 61
    assert [result for result in results if result["status"] != "ok"] == []
