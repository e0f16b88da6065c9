"""Sign-in at an OpenID Connect provider: the Authorization Code flow with PKCE.

    browser              service                                   provider
      | GET /login/oidc    | reads the provider's addresses          |
      |<-- redirect -------| cookie with the key of this attempt     |
      |--- state, nonce, code_challenge ---------------------------->|  the person signs in there
      |<-- redirect with code and state -----------------------------|
      | GET /login/oidc/callback                                     |
      |------------------->| code and code_verifier ---------------->|
      |                    |<------------------- signed ID token ----|
      |<-- cookie ---------| checks it, looks for a group of a team  |

State, nonce and verifier derive from the attempt's key, which only this browser's cookie holds. So the
service stores nothing before somebody has signed in. Addresses and keys are read anew for each sign-in. A
sign-in is rare, and a provider that changes its keys is followed at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt
import structlog

from records.models import Role
from records.repositories.sign_ins import Admitted
from records.settings import Settings, SettingsError
from service.problems import ServiceError
from vcp_core.catalog.validation import quoted

# Signatures by a key pair. A provider's public key must never be taken for a shared secret (HS256), and
# "none" is no signature.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
REQUIRED = ("iss", "sub", "aud", "exp", "iat")  # claims of every ID token (OpenID Connect Core 2)
SCOPES = ("openid", "profile", "email")
LEEWAY_S = 60  # between the clocks of this machine and the provider
TIMEOUT_S = 5.0
AT_ONCE = 4  # requests to the provider: one that hangs must not take all threads of the service
LONGEST_NAME = 200  # characters
LOOPBACK = ("localhost", "127.0.0.1", "::1")
log = structlog.get_logger("vcpbench.service")
_ROOM = threading.BoundedSemaphore(AT_ONCE)


class SignInFailed(ServiceError):
    """The provider's answer cannot be used."""


class ProviderAway(ServiceError):
    """The provider does not answer, or not as OpenID Connect demands."""

    status = 503


@dataclass(frozen=True)
class Attempt:
    """One attempt of a browser to sign in.

    Attributes:
        key: 32 random bytes as text, which only the browser and the service know.
    """

    key: str

    @classmethod
    def new(cls) -> Attempt:
        """Begin an attempt."""
        return cls(secrets.token_urlsafe(32))

    @property
    def state(self) -> str:
        """Comes back with the code. So nobody can end an attempt that another browser began."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Comes back in the ID token. So no ID token of another attempt is taken."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Goes to the provider with the code. So a code alone is worth nothing (PKCE, RFC 7636)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """The hash of the verifier, which the provider gets first."""
        return _text(hashlib.sha256(self.verifier.encode()).digest())

    def _derived(self, what: str) -> str:
        return _text(hmac.digest(self.key.encode(), what.encode(), "sha256"))


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who signed in at the provider.

    Attributes:
        issuer: The provider.
        subject: The person's id there, which never changes.
        name: An address or a name, for people.
        groups: The person's groups.
    """

    issuer: str
    subject: str
    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a group stands for."""

    group: str
    team: str
    role: Role


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An OpenID Connect provider.

    Attributes:
        issuer: Its address, exactly as it writes it itself.
        client_id: The name of this installation there.
        client_secret: The secret of this installation there; None for a public client.
        groups_claim: The claim that lists a person's groups.
        places: What each group stands for, the first one first.
    """

    issuer: str
    client_id: str
    client_secret: str | None
    groups_claim: str
    places: tuple[Place, ...]

    @classmethod
    def of(cls, settings: Settings) -> Provider | None:
        """The provider of an installation; None if people log in with tokens only.

        Raises:
            SettingsError: If a setting is missing, or the provider's address has no TLS.
        """
        if not settings.oidc_issuer:
            return None
        for name, value in (("CLIENT_ID", settings.oidc_client_id), ("TEAMS", settings.oidc_teams)):
            if not value:
                raise SettingsError(
                    f"VCPBENCH_OIDC_ISSUER is set, and VCPBENCH_OIDC_{name} is not. See docs/identity.md."
                )
        address = urlsplit(settings.oidc_issuer)
        if address.scheme != "https" and address.hostname not in LOOPBACK:
            raise SettingsError("VCPBENCH_OIDC_ISSUER: it must be an https address. Keys come from there.")
        return cls(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret.get_secret_value() or None,
            groups_claim=settings.oidc_groups_claim,
            places=places(settings.oidc_teams),
        )

    def address(self, attempt: Attempt, redirect_uri: str) -> str:
        """Where the browser goes to sign in.

        Raises:
            ProviderAway: If the provider does not say where.
        """
        with _open() as http:
            metadata = self._metadata(http)
        known = metadata.get("scopes_supported") or ()
        scopes = [*SCOPES, *(name for name in (self.groups_claim,) if name in known)]
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        endpoint = metadata["authorization_endpoint"]
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    def person(self, code: str, attempt: Attempt, redirect_uri: str) -> Person:
        """Redeem a code, and check the ID token that it gives.

        Raises:
            ProviderAway: If the provider does not answer as it should.
            SignInFailed: If it refuses the code, or the ID token is not for this attempt.
        """
        with _open() as http:
            metadata = self._metadata(http)
            tokens = self._redeem(http, metadata, code, attempt, redirect_uri)
            keys = _json(http, "GET", metadata["jwks_uri"])
            claims = checked(
                str(tokens.get("id_token")),
                keys,
                issuer=self.issuer,
                client_id=self.client_id,
                nonce=attempt.nonce,
            )
            if self.groups_claim not in claims and "userinfo_endpoint" in metadata:
                claims = {**self._userinfo(http, metadata, tokens, claims["sub"]), **claims}
        return Person(
            issuer=self.issuer,
            subject=claims["sub"],
            name=_name(claims),
            groups=_groups(claims.get(self.groups_claim)),
        )

    def place(self, person: Person) -> Place | None:
        """The team and the role of a person; None if no group of theirs is a team's."""
        return next((place for place in self.places if place.group in person.groups), None)

    def admits(self, issuer: str, team: str, role: Role) -> bool:
        """Whether somebody who signed in before could have this role in this team by today's settings."""
        return issuer == self.issuer and (team, role) in self.admitted.places

    @property
    def admitted(self) -> Admitted:
        """What `admits` allows, for queries."""
        return Admitted(issuer=self.issuer, places=[(one.team, one.role) for one in self.places])

    def _metadata(self, http: httpx.Client) -> dict[str, Any]:
        found = _json(http, "GET", f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise ProviderAway(
                f"The provider calls itself {quoted(found.get('issuer'))}, and VCPBENCH_OIDC_ISSUER is "
                f"{self.issuer!r}. Both must be equal. Tell your administrator."
            )
        if missing := {"authorization_endpoint", "token_endpoint", "jwks_uri"} - found.keys():
            raise ProviderAway(f"The provider does not say its {', '.join(sorted(missing))}.")
        return found

    def _redeem(
        self, http: httpx.Client, metadata: Mapping[str, Any], code: str, attempt: Attempt, redirect_uri: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self.client_id,
            "code_verifier": attempt.verifier,
        }
        auth = None
        if self.client_secret is not None:
            # RFC 6749, 2.3.1: both parts are encoded before they become Basic credentials.
            methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            if "client_secret_basic" in methods:
                auth = (quote(self.client_id, safe=""), quote(self.client_secret, safe=""))
            else:
                form["client_secret"] = self.client_secret
        return _json(http, "POST", metadata["token_endpoint"], data=form, auth=auth)

    def _userinfo(
        self, http: httpx.Client, metadata: Mapping[str, Any], tokens: Mapping[str, Any], subject: str
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {tokens.get('access_token')}"}
        found = _json(http, "GET", metadata["userinfo_endpoint"], headers=headers)
        if found.get("sub") != subject:  # OpenID Connect Core 5.3.2
            raise SignInFailed("The provider told the claims of somebody else. Begin again at /login.")
        return found


def checked(
    id_token: str, keys: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """Check an ID token, and return its claims (OpenID Connect Core 3.1.3.7).

    Args:
        id_token: As the provider sent it.
        keys: The provider's keys (RFC 7517).
        issuer: The provider.
        client_id: For whom the token must be.
        nonce: Of the attempt for which it must be.

    Raises:
        SignInFailed: If its signature, issuer, audience, time or nonce is not right.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            id_token,
            _key(id_token, keys),
            algorithms=ALGORITHMS,
            issuer=issuer,
            audience=client_id,
            leeway=LEEWAY_S,
            options={"require": list(REQUIRED)},
        )
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise _refused(str(error)) from None
    if not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
        raise _refused("its nonce is of another attempt")
    if claims.get("azp", client_id) != client_id:
        raise _refused("it was issued to another client")
    return claims


def places(text: str) -> tuple[Place, ...]:
    """Read `GROUP=TEAM:ROLE;GROUP=TEAM:ROLE`. A group may hold `=`, as names in LDAP do.

    >>> for one in places("cn=ml,dc=org=vision:admin;everybody=vision:reader"):
    ...     print(one.group, one.team, one.role)
    cn=ml,dc=org vision admin
    everybody vision reader
    """
    found = []
    for entry in filter(None, text.split(";")):
        group, _, place = entry.rpartition("=")
        team, _, role = place.rpartition(":")
        found.append(Place(group=group.strip(), team=team.strip(), role=Role(role)))
    return tuple(found)


def _key(id_token: str, keys: Mapping[str, Any]) -> Any:
    """The key that an ID token names. A provider with one key need not name it."""
    name = jwt.get_unverified_header(id_token).get("kid")
    known = [one for one in jwt.PyJWKSet.from_dict(dict(keys)).keys if one.public_key_use in (None, "sig")]
    found = [one for one in known if name is None or one.key_id == name]
    if len(found) != 1:
        raise ValueError("no key of the provider has the name that it gives")
    return found[0].key


def _refused(why: str) -> SignInFailed:
    log.warning("ID token refused", why=why)
    return SignInFailed(f"The provider's ID token was refused: {why}. Begin again at /login.")


@contextmanager
def _open() -> Iterator[httpx.Client]:
    if not _ROOM.acquire(blocking=False):
        raise ProviderAway("Many people sign in just now, or the provider is slow. Try again in a moment.")
    try:
        # No redirects: the addresses are the provider's own, and a code must not travel on.
        with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False) as http:
            yield http
    finally:
        _ROOM.release()


def _json(http: httpx.Client, method: str, url: str, **options: Any) -> dict[str, Any]:
    """Ask the provider, and read the JSON object that it answers."""
    try:
        answer = http.request(method, url, **options)
        found = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, json.JSONDecodeError, UnicodeDecodeError) as error:
        log.warning("provider away", url=url, error=repr(error))
        raise ProviderAway(
            "The sign-in provider does not answer just now. Try again later, or log in with a token."
        ) from None
    if not isinstance(found, dict):
        raise ProviderAway("The sign-in provider answered with something else than OpenID Connect demands.")
    if answer.status_code != 200:
        log.warning("provider refused", url=url, status=answer.status_code, error=found.get("error"))
        raise SignInFailed(
            f"The sign-in provider refused: {quoted(found.get('error'))}. Begin again at /login."
        )
    return found


def _name(claims: Mapping[str, Any]) -> str:
    """What people call the person. An address that the provider did not verify is not taken."""
    verified = claims.get("email_verified", True) in (True, "true")
    chosen = (
        claims.get("email") if verified else None,
        claims.get("preferred_username"),
        claims.get("name"),
        claims["sub"],
    )
    text = next(str(one) for one in chosen if one)
    return "".join(one for one in text if one.isprintable())[:LONGEST_NAME]


def _groups(value: object) -> tuple[str, ...]:
    """The groups of a claim: a list, or one name."""
    named = value if isinstance(value, list) else [value]
    return tuple(one for one in named if isinstance(one, str))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
