"""The OpenAPI document is the truth: whatever is sent, the service answers as the document says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.http.errors.problems import KINDS
from projections.versions import control
from tests.support.server import Served, token_for
from tests.support.store_cases import one_store

ROOT = Path(__file__).parents[2]


def fuzz(served: Served, folder: Path, examples: int) -> None:
    """Run schemathesis, with all its checks, on a service that holds some tickets.

    Its boundary cases, its random ones and its sequences of calls are the same in every run.
    """
    client = served.client()
    tickets = [client.created() for _ in range(8)]
    client.delete(f"/v1/tickets/{tickets[0]['_id']}", headers={"If-Match": "*"})
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--no-color"),
        *("--config-file", str(ROOT / "tests" / "support" / "schemathesis.toml")),
        *("run", f"{served.url}/openapi.json", "--checks", "all"),
        # the required headers are If-Match, whose absence is 428 and not 406, and the token, which
        # `ignored_auth` leaves out; a retired ticket is gone as the hooks' own check says
        *("--exclude-checks", "missing_required_header,use_after_free"),
        *("--max-examples", str(examples), "--generation-deterministic"),
        *("--header", f"Authorization: Bearer {token_for(client.org)}"),
    ]
    environment = os.environ | {
        "KNOWN_HEAD": str(served.head),
        "KNOWN_TICKETS": " ".join(ticket["_id"] for ticket in tickets),
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks",
    }

    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Operations:       33 selected / 33 total" in done.stdout


def test_no_answer_is_outside_the_document(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "DROP_AFTER", 0.1)
    fuzz(served, tmp_path, examples=12)


@pytest.mark.exhaustive
def test_no_answer_is_outside_the_document_however_long_one_tries(
    served: Served, tmp_path: Path
) -> None:
    fuzz(served, tmp_path, examples=5_000)


@one_store
def test_the_document_lists_every_problem_there_is(served: Served) -> None:
    document = served.client().get("/openapi.json").json()

    problem = document["components"]["schemas"]["ProblemModel"]
    assert problem["properties"]["code"]["enum"] == list(KINDS)
    documented = {
        code
        for operations in document["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"].values()
        if "application/problem+json" in answer.get("content", {})
        for code in answer["description"].split(", ")
    }
    elsewhere = {"method-not-allowed", "ticket-exists"}  # no operation is answered with these
    assert documented == set(KINDS) - elsewhere
