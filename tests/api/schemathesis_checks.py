"""What Schemathesis demands of every answer beyond its own checks; it is told of this file by SCHEMATHESIS_HOOKS."""

import schemathesis


@schemathesis.check
def refusals_keep_their_form(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Any refusal says what to do, and a 503 when to come again; HEAD has no body."""
    if response.status_code == 503:
        assert response.headers.get("retry-after", [""])[0].isdigit(), "a 503 without Retry-After"
    if response.status_code >= 400 and case.method.upper() != "HEAD":
        said = response.json()
        assert {"error", "detail"} <= said.keys(), said
        assert isinstance(said["error"], str), said
        assert said["detail"], said
