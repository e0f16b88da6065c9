"""What is checked of an ID token, with keys made here: the real provider signs no wrong ones."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from service.oidc import LEEWAY_S, SignInFailed, checked

ISSUER, CLIENT, NONCE = "https://login.example.org", "vcpbench", "n" * 43
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
KEYS = {
    "keys": [
        {**json.loads(RSAAlgorithm.to_jwk(RSA_KEY.public_key())), "kid": "rsa", "use": "sig"},
        {**json.loads(ECAlgorithm.to_jwk(EC_KEY.public_key())), "kid": "ec"},
    ]
}


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {"iss": ISSUER, "sub": "anna", "aud": CLIENT, "iat": now, "exp": now + 600, "nonce": NONCE}
    return {name: value for name, value in {**found, **changes}.items() if value is not None}


def signed(key: Any = RSA_KEY, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid else None)


def check(id_token: str, keys: dict[str, Any] = KEYS) -> dict[str, Any]:
    return checked(id_token, keys, issuer=ISSUER, client_id=CLIENT, nonce=NONCE)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(RSA_KEY, "RS256", "rsa"), (RSA_KEY, "PS512", "rsa"), (EC_KEY, "ES256", "ec")],
    ids=["RS256", "PS512", "ES256"],
)
def test_a_right_token_is_taken_with_each_kind_of_key(key: Any, algorithm: str, kid: str) -> None:
    assert check(signed(key, algorithm, kid))["sub"] == "anna"
    assert check(signed(key, algorithm, kid, aud=["another", CLIENT], azp=CLIENT))["sub"] == "anna"


def test_a_provider_with_one_key_need_not_name_it() -> None:
    assert check(signed(kid=None), {"keys": KEYS["keys"][:1]})["sub"] == "anna"
    with pytest.raises(SignInFailed, match="no key of the provider"):
        check(signed(kid=None))


def none() -> str:
    return jwt.encode(claims(), None, "none", headers={"kid": "rsa"})


def public_key_as_secret() -> str:
    """The provider's public key, which everybody knows, taken for a shared secret."""
    _, body, _ = signed().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa","typ":"JWT"}').rstrip(b"=").decode()
    tag = hmac.digest(PEM, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(tag).rstrip(b'=').decode()}"


def changed() -> str:
    head, _, tag = signed().split(".")
    return f"{head}.{signed(sub='root').split('.')[1]}.{tag}"


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: signed(exp=int(time.time()) - LEEWAY_S - 10), "expired"),
        (lambda: signed(iat=int(time.time()) + LEEWAY_S + 60), "not yet valid"),
        (lambda: signed(nonce="another"), "nonce"),
        (lambda: signed(nonce=None), "nonce"),
        (lambda: signed(aud="another"), "udience"),
        (lambda: signed(aud=["another"]), "udience"),
        (lambda: signed(aud=[CLIENT, "another"], azp="another"), "another client"),
        (lambda: signed(iss="https://evil.example"), "ssuer"),
        (lambda: signed(OTHER_KEY), "ignature"),
        (lambda: signed(OTHER_KEY, kid="other"), "no key of the provider"),
        (lambda: signed(exp=None), "exp"),
        (lambda: signed(sub=None), "sub"),
        (none, "alg"),
        (public_key_as_secret, "alg"),
        (changed, "ignature"),
        (lambda: "no token", "segments"),
        (lambda: "", "segments"),
    ],
    ids=[
        "expired", "of the future", "nonce", "no nonce", "audience", "audiences", "party", "issuer", "key",
        "key id", "no expiry", "no subject", "none", "HS256", "changed", "text", "empty",
    ],
)  # fmt: skip
def test_a_wrong_token_signs_nobody_in(made: Callable[[], str], says: str) -> None:
    with pytest.raises(SignInFailed, match="ID token was refused") as caught:
        check(made())
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "keys", [{}, {"keys": []}, {"keys": [{"kty": "oct", "k": "eA", "kid": "rsa"}]}], ids=str
)
def test_a_provider_without_a_usable_key_signs_nobody_in(keys: dict[str, Any]) -> None:
    with pytest.raises(SignInFailed, match="refused"):
        check(signed(), keys)
