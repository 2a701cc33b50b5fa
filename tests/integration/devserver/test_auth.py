"""Promises about tokens."""

import pytest


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer unknown", "Basic dev-account-token", "dev-account-token"],
)
async def test_without_a_known_token_nothing_works(api, header):
    """401 ``bad_authtoken``, for reads and writes alike."""
    for method, path in (("GET", "/ping"), ("POST", "/bulk"), ("POST", "/agent_spans")):
        status, body = await api.send(method, path, headers={"Authorization": header})

        assert (status, body["code"]) == (401, "bad_authtoken")


async def test_ping_works_for_both_scopes(api):
    """It only says that the token is good."""
    for token in (api.server.token, api.server.deployment_token):
        assert await api.get("/ping", token=token) == (200, {"status": "success", "details": {}})


async def test_a_suspended_token_can_come_back_a_revoked_one_cannot(api):
    """Both answer 401 meanwhile."""
    server = api.server
    server.set_token_state(server.token, "suspended")
    suspended = await api.get("/ping")
    server.set_token_state(server.token, "active")
    active = await api.get("/ping")
    server.set_token_state(server.token, "revoked")
    revoked = await api.get("/ping")

    assert (suspended[0], active[0], revoked[0]) == (401, 200, 401)
    with pytest.raises(ValueError, match="stays revoked"):
        server.set_token_state(server.token, "active")
    with pytest.raises(KeyError):
        server.set_token_state("unknown", "active")


async def test_a_deployment_token_brings_its_agent(api):
    """Register needs neither agent nor environment; both come from the token."""
    token = api.server.deployment_token
    body = api.registration(agent_id=None)
    status, answer = await api.post("/agent_instance/register", body, token=token)
    instance_id = answer["details"]["id"]
    polled = await api.get(f"/agent_instance/{instance_id}", token=token)
    span = await api.post("/agent_spans", {"details": api.span(instance_id)}, token=token)

    assert status == polled[0] == span[0] == 200
    assert answer["details"]["agent_id"] == api.server.agent_id
    assert answer["details"]["environment_id"] == api.server.environment_id


async def test_a_deployment_token_may_say_its_own_agent(api):
    """Another one is not visible to it; the switch refuses both."""
    token, path = api.server.deployment_token, "/agent_instance/register"
    own = await api.post(path, api.registration(), token=token)
    other = await api.post(path, api.registration(agent_id=api.mint()), token=token)
    api.switch(refuse_ids_with_deployment_token=True)
    refused = await api.post(path, api.registration(), token=token)

    assert (own[0], other[0], refused[0]) == (200, 404, 422)


async def test_a_deployment_token_reads_nothing_but_its_instance(api):
    """Lists and spans answer 401 unless switched on; polling can be switched off."""
    run = await api.instance()
    span = await api.create(run)
    token = api.server.deployment_token
    reads = [
        "/agent_instance",
        f"/agent_instance/{run}/agent_context",
        "/agent_instance/show?external_identifier=x",
        f"/agent_spans?agent_instance_id={run}",
        f"/agent_spans/{span}",
        "/agent",
        f"/agent/{api.server.agent_id}",
    ]
    refused = [await api.get(path, token=token) for path in reads]
    api.switch(deployment_reads_allowed=True)
    allowed = [await api.get(path, token=token) for path in reads]
    api.switch(deployment_reads_allowed=False, deployment_polling_allowed=False)
    polled = await api.get(f"/agent_instance/{run}", token=token)

    assert {(status, body["code"]) for status, body in refused} == {(401, "unauthorized")}
    assert [status for status, _ in allowed] == [200, 200, 404, 200, 200, 200, 200]
    assert polled[0] == 401


async def test_a_deployment_token_sees_no_other_agent(api):
    """Its runs and spans are not found."""
    _, other = await api.post("/agent", {"details": {"name": "Other"}})
    api.server.add_token(
        "other-token", agent_id=other["details"]["id"], environment_id=api.server.environment_id
    )
    run = await api.instance()
    span = await api.create(run)
    for method, path, body in (
        ("GET", f"/agent_instance/{run}", None),
        ("POST", f"/agent_instance/{run}/finish", {}),
        ("POST", "/agent_spans", {"details": api.span(run)}),
        ("POST", f"/agent_spans/{span}/finish", {}),
    ):
        status, answer = await api.send(method, path, body, token="other-token")

        assert (status, answer["code"]) == (404, "not_found")


async def test_agents_are_changed_with_account_tokens_only(api):
    """A deployment token gets 401."""
    path = f"/agent/{api.server.agent_id}"
    for method, target, body in (
        ("POST", "/agent", {"details": {"name": "x"}}),
        ("PUT", path, {"details": {}}),
        ("POST", f"{path}/retire", None),
        ("DELETE", path, None),
    ):
        status, _ = await api.send(method, target, body, token=api.server.deployment_token)

        assert status == 401


async def test_a_token_of_an_account_may_have_to_name_the_environment(api):
    """With the switch of the current API."""
    api.switch(require_environment=True)
    path = "/agent_instance/register"
    missing = await api.post(path, api.registration())
    given = await api.post(path, api.registration(environment_id=api.server.environment_id))

    assert missing[0] == 422 and "environment_id" in missing[1]["errors"]
    assert given[0] == 200
