"""A real OpenID Connect provider on this machine, and a person who signs in there with a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.patience import DEADLINE_S, until

HERE = Path(__file__).parent
SECRET = "a secret: with / signs"  # of the client "vcpbench"; see provider.mjs


@dataclass(frozen=True)
class RealProvider:
    """A running provider.

    Attributes:
        issuer: Its address.
    """

    issuer: str

    def know(self, sub: str, **claims: Any) -> None:
        """Set what the provider knows of somebody."""
        httpx.put(f"{self.issuer}/people/{sub}", json=claims).raise_for_status()

    def sign_in(self, address: str, sub: str) -> str:
        """Sign in where the service sends the browser, and consent. Return the address that leads back."""
        with httpx.Client(timeout=DEADLINE_S) as browser:
            answer = browser.get(address)
            for _ in range(10):
                where = answer.headers.get("Location", "")
                if "/login/oidc/callback" in where:
                    return where
                if answer.is_redirect:
                    answer = browser.get(answer.url.join(where))
                    continue
                assert answer.status_code == 200, answer.text
                prompt = "login" if 'value="login"' in answer.text else "consent"
                form = {"prompt": prompt, "login": sub, "password": "any"}
                answer = browser.post(answer.url, data=form)
        raise AssertionError(f"the provider never led back: {answer.url}")


@contextmanager
def provider(folder: Path) -> Iterator[RealProvider]:
    """Start the provider. A machine without it skips, CI fails."""
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules").exists():
        reason = "no OpenID Connect provider; make tests/identity/node_modules (it needs node and npm)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    log = folder / "provider.log"
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [node, str(HERE / "provider.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file
        ) as process,
    ):
        try:
            assert process.stdout is not None
            issuer = process.stdout.readline().decode().strip()
            assert issuer, log.read_text()
            until(lambda: httpx.get(f"{issuer}/.well-known/openid-configuration").status_code == 200)
            yield RealProvider(issuer)
        finally:
            process.kill()


def query_of(address: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
