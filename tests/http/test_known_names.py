"""Over HTTP, a filter by a name that nobody knows is a problem and not an empty answer."""

import pytest

from tests.support.server import Client

ROUTES = (
    ("/v1/tickets", {"system", "feature"}),
    ("/v1/tickets?at=2020-01-01T00:00:00Z", {"system", "feature"}),
    ("/v1/audit", {"system", "action", "feature", "granted", "revoked"}),
    ("/v1/audit/export", {"system", "action", "feature", "granted", "revoked"}),
    ("/v1/grants?on=2020-01-01", {"feature"}),
    ("/v1/grants?on=2020-01-01&feature=get_all", {"system"}),
    ("/v1/diff?from=0", {"system"}),
)
NEARLY = {"system": "workforce", "action": "ticket.create"}
NEAREST = {"system": "workforce_2", "action": "ticket.created"}


@pytest.mark.parametrize(
    ("route", "parameter"), [(route, name) for route, names in ROUTES for name in sorted(names)]
)
def test_a_misspelt_name_is_refused_with_the_nearest(
    client: Client, route: str, parameter: str
) -> None:
    address = f"{route}{'&' if '?' in route else '?'}{parameter}="
    problem = client.get(address + NEARLY.get(parameter, "get_al"))
    assert (problem.status_code, problem.json()["code"]) == (400, "invalid-parameter")
    (fault,) = problem.json()["errors"]
    assert fault["pointer"] == f"/query/{parameter}"
    assert f"Did you mean '{NEAREST.get(parameter, 'get_all')}'?" in fault["detail"]
    assert client.get(address + NEAREST.get(parameter, "get_all")).status_code == 200


def test_a_long_name_is_cut_and_names_of_other_organisations_are_not_known(
    client: Client,
) -> None:
    problem = client.get("/v1/tickets", params={"feature": "x" * 200})
    assert problem.status_code == 400
    assert len(problem.json()["detail"]) < 250
