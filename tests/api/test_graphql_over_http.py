"""The official GraphQL-over-HTTP audit, run by its own Node package against the service."""

import json
import subprocess
from pathlib import Path

AUDIT = Path(__file__).parent / "audit" / "audit.mjs"
CASES = 61


def test_the_service_passes_every_case_of_the_graphql_over_http_audit(service_url: str) -> None:
    run = subprocess.run(
        ["node", str(AUDIT), f"{service_url}/graphql"], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, f"the audit did not run (is node_modules installed? make lint): {run.stderr}"
    results = json.loads(run.stdout)
    failures = [f"{case['id']} {case['name']}: {case['reason']}" for case in results if case["status"] != "ok"]
    assert not failures, "\n".join(failures)
    assert len(results) == CASES
