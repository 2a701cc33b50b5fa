"""What the page about migrating shows as new works, and its names exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import prefactor_exporter
from prefactor_exporter import Exporter, ExporterConfig, Run, SchemaRegistry, Span
from prefactor_http.devserver import DevServer

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "migrating.md").read_text(encoding="utf-8")
NAMES = PAGE[PAGE.index("### Names") : PAGE.index("### What behaves")]


@pytest.mark.slow
def test_the_migrated_agent_records_what_the_old_one_did():
    """As a program of its own, like the reader's."""
    with DevServer() as server:
        environ = {name: text for name, text in os.environ.items() if "PREFACTOR" not in name}
        environ |= {
            "PREFACTOR_API_URL": server.url,
            "PREFACTOR_API_TOKEN": server.token,
            "PREFACTOR_AGENT_ID": server.agent_id,
            "PREFACTOR_ENVIRONMENT_ID": server.environment_id,
        }
        done = subprocess.run(
            [sys.executable, DOCS / "examples" / "migrated.py"],
            env=environ,
            cwd=DOCS.parent,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        (run,) = server.instances()
        llm, task = sorted(server.spans(), key=lambda span: span["schema_name"])

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"run {run['id']}\n"
    assert run["status"] == "complete"
    assert (task["schema_name"], task["status"]) == ("agent:task", "complete")
    assert (task["payload"], task["result_payload"]) == ({"task": "arithmetic"}, {"steps": 1})
    assert (llm["status"], llm["payload"], llm["result_payload"]) == (
        "complete",
        {"question": "6 times 7?"},
        {"answer": 42},
    )
    assert llm["parent_span_id"] == task["id"]
    assert task["parent_span_id"] is None


@pytest.mark.parametrize(
    ("prefix", "owner"),
    [("exporter", Exporter), ("run", Run), ("span", Span), ("registry", SchemaRegistry)],
)
def test_every_new_name_exists(prefix, owner):
    """Those of the right-hand column."""
    new = [row.split(" | ", 1)[1] for row in NAMES.splitlines() if row.startswith("| `")]
    called = set(re.findall(rf"\b{prefix}\.(\w+)", " ".join(new)))

    assert called
    assert [name for name in called if not hasattr(owner, name)] == []


@pytest.mark.parametrize("name", ["Exporter", "ExporterConfig", "AgentInfo", "SchemaRegistry"])
def test_every_new_class_exists(name):
    assert f"`{name}" in NAMES or f"={name}(" in NAMES
    assert hasattr(prefactor_exporter, name)


@pytest.mark.parametrize("name", ["max_in_flight", "max_attempts", "max_retry_age", "spool_dir"])
def test_every_new_setting_exists(name):
    assert f"`{name}`" in NAMES
    assert name in ExporterConfig.__struct_fields__
