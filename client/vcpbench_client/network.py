"""Proxies and certificates: what the environment says of them, and which variable to blame when it is wrong.

httpx reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` (or their names in small letters),
`SSL_CERT_FILE` and `SSL_CERT_DIR`. Its errors name none of them.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import httpx

from vcpbench_client.errors import ClientError, Misconfigured, Unreachable

PROXIES = ("http_proxy", "https_proxy", "all_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
TLS = (*CERTIFICATES, "SSLKEYLOGFILE")  # what Python reads when it prepares for TLS
UNREAD = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # other tools' names for SSL_CERT_FILE
LOGIN_OF_PROXY = re.compile(r"^(\w[\w+.-]*://)?.*@", re.DOTALL)


@dataclass(frozen=True)
class Variable:
    """A variable of the environment that is set.

    Attributes:
        name: As it is spelt there.
        value: As it is there.
    """

    name: str
    value: str

    def __str__(self) -> str:
        """Name and value, without the user and the password that the address of a proxy may hold."""
        shown = LOGIN_OF_PROXY.sub(r"\1***@", self.value)
        return f"{self.name}={shown!r}"


def open_client(url: str, headers: Mapping[str, str]) -> httpx.Client:
    """A client of httpx that uses the environment's proxies and certificates.

    Raises:
        Misconfigured: If one of the variables cannot be used; names the variable.
    """
    folder = _set("SSL_CERT_DIR")
    if url.startswith("https:") and folder and not _set("SSL_CERT_FILE") and not os.path.isdir(folder.value):
        raise Misconfigured(f"{folder} is no folder. Correct it or unset it.")  # OpenSSL would say nothing
    try:
        return httpx.Client(headers=headers, verify=_trusted(url))
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        raise Misconfigured(_blame(error)) from error


def _trusted(url: str) -> ssl.SSLContext | bool:
    """Certificates to trust. Without TLS, trust none, because loading the authorities is slow."""
    proxies = [proxy.value for proxy in map(_set, PROXIES) if proxy]
    if any(address.lower().startswith("https:") for address in (url, *proxies)) or any(map(_set, TLS)):
        return True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def explain(url: str, error: httpx.TransportError) -> ClientError:
    """What a request that got no answer means, and which variable decided its way."""
    proxy = _proxy_of(url)
    through = f" through the proxy of {proxy}" if proxy else ""
    fault = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    if isinstance(fault, ssl.SSLCertVerificationError):
        return Misconfigured(f"{url}{through}: its certificate is not trusted: {_distrust(fault)}")
    if fault is not None and fault.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return Misconfigured(
            f"{url} cannot be reached{through}: no TLS is spoken there. Is it http:// instead?"
        )
    if isinstance(error, httpx.ProxyError):
        return _refused(url, proxy, str(error))
    reason = "no answer in time" if isinstance(error, httpx.TimeoutException) else _words(error)
    advice = f" If no proxy is needed, unset {proxy.name} or name the server in NO_PROXY." if proxy else ""
    return Unreachable(f"{url} cannot be reached{through}: {reason}.{advice}")


def no_such_host(url: str, error: Exception) -> ClientError:
    """What it means that a host name, of the server or of the proxy, cannot be looked up at all."""
    whose = _proxy_of(url) or url
    return Misconfigured(f"{whose} names a host that cannot be looked up: {_words(error)}.")


def has_no_such_host(error: ClientError) -> bool:
    """Whether the request failed because no host has this name. False if the name server was away."""
    failed = (one for one in _causes(error) if isinstance(one, socket.gaierror))
    return any(one.errno != socket.EAI_AGAIN for one in failed)


def proxy_asks_for_login(url: str) -> ClientError:
    """What the status 407 means: only a proxy gives it."""
    return _refused(url, _proxy_of(url), "407 Proxy Authentication Required")


def _refused(url: str, proxy: Variable | None, answer: str) -> ClientError:
    """A proxy's own answer; its 5xx may pass, anything else will not."""
    which = f"the proxy of {proxy}" if proxy else "a proxy on the way"
    said = f"{url} cannot be reached: {which} answers {answer}."
    if answer.startswith("407"):
        name = proxy.name if proxy else "HTTPS_PROXY"
        said += f" Give your name and password: {name}=http://NAME:PASSWORD@HOST:PORT."
    return Unreachable(said) if answer.startswith("5") else Misconfigured(said)


def _blame(error: Exception) -> str:
    """Which variable keeps httpx from starting, and what to do."""
    for proxy in filter(None, map(_set, PROXIES)):
        address = proxy.value if "://" in proxy.value else f"http://{proxy.value}"
        scheme = address.partition("://")[0]
        if isinstance(error, ImportError) and scheme.startswith("socks"):
            return f"{proxy} needs the package socksio: pip install 'httpx[socks]'. Or unset {proxy.name}."
        try:
            httpx.Proxy(address)
        except (ValueError, httpx.InvalidURL):
            return f"{proxy} is no address of a proxy. Write it as http://HOST:PORT, or unset it."
    if isinstance(error, OSError):
        for variable in filter(None, map(_set, ("SSL_CERT_FILE", "SSLKEYLOGFILE"))):
            if reason := _unreadable(variable, error):
                return f"{variable} cannot be used: {reason}. Correct it or unset it."
    if no_proxy := _set("no_proxy"):
        return f"{no_proxy} cannot be used: write host names with commas between them, or unset it."
    return f"The settings of the network cannot be used: {error}."


def _unreadable(variable: Variable, error: OSError) -> str | None:
    """Why this file stopped httpx; None if it did not."""
    if isinstance(error, ssl.SSLError):
        return "it holds no certificates in PEM form" if variable.name == "SSL_CERT_FILE" else None
    if variable.name == "SSL_CERT_FILE" and os.access(variable.value, os.R_OK):
        return "it is a folder" if os.path.isdir(variable.value) else None
    return error.strerror or str(error)


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    """Why a certificate is not trusted, and how to have it trusted."""
    said = f"{error.verify_message.rstrip('.')}. "
    found = next(filter(None, map(_set, CERTIFICATES)), None)
    here = f"{found} does not hold it" if found else "SSL_CERT_FILE is not set"
    said += f"Let SSL_CERT_FILE name a PEM file with the certificate of its authority ({here})."
    if ignored := next(filter(None, map(_set, UNREAD)), None):
        said += f" {ignored.name} is not read."
    return said


def _proxy_of(url: str) -> Variable | None:
    """The variable that names the proxy for this address, if one does."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc):
        return None
    return _set(f"{parts.scheme}_proxy") or _set("all_proxy")


def _set(name: str) -> Variable | None:
    """A variable that is set; of proxies' the one in small letters comes first, as in `urllib`."""
    names = (name, name.upper())
    return next((Variable(one, os.environ[one]) for one in names if os.environ.get(one)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _words(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
