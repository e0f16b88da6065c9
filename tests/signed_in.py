"""People who are signed in at a provider that does not run."""

from __future__ import annotations

from uuid import UUID

from records.models import Role
from records.repositories import sign_ins
from service.oidc import Provider
from tests.served import Served

ISSUER = "https://id.example"
TEAMS = "ml=vision:submitter;guests=vision:reader;audio=audio:submitter"


def sign_in(
    api: Served,
    name: str,
    *,
    subject: str = "",
    team: str = "vision",
    role: Role = Role.READER,
    issuer: str = ISSUER,
    hours: int = 12,
) -> UUID:
    """Sign somebody in, and name the provider in the settings. Return the id of the session."""
    settings = {"oidc_issuer": ISSUER, "oidc_client_id": "vcpbench", "oidc_teams": TEAMS}
    api.app.state.provider = Provider.of(api.app.state.settings.model_copy(update=settings))
    with api.database.session() as session:
        return sign_ins.create(
            session, issuer=issuer, subject=subject or name, name=name, team=team, role=role, hours=hours
        )[0].id
