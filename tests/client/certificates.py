"""A certificate for localhost that nobody has signed but itself, and servers that show it.

Made once, for tests only, and valid until 2126:

    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
        -subj /CN=localhost -addext "subjectAltName=DNS:localhost,IP:127.0.0.1"
"""

from __future__ import annotations

import ssl
from pathlib import Path

KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDphri6zzdrAbq9P6
oc7QvX07pHgTlq85efCGpjACDJChRANCAAQfQAIrzYra5bQtczCw0wIyS8p6t8Pv
7zZrDBGItlZ+98GdQfJ5rfJWAMMXb9Wv6OUYxWLM2SVJJHzKoLnKlhmp
-----END PRIVATE KEY-----
"""
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUN9zu2HW56KDAYrzVFEQkQVT8FR4wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyODA0MTg0N1oYDzIxMjYxMTA0
MDQxODQ3WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQfQAIrzYra5bQtczCw0wIyS8p6t8Pv7zZrDBGItlZ+98GdQfJ5rfJW
AMMXb9Wv6OUYxWLM2SVJJHzKoLnKlhmpo28wbTAdBgNVHQ4EFgQUrIyGocKoajtF
XS0dl2PdAD+5dX8wHwYDVR0jBBgwFoAUrIyGocKoajtFXS0dl2PdAD+5dX8wDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIhAP/H/oi/dDNmas77WkYn9xMQvrVM4LDanacNPzXvbBLFAiAc
TA5AljrOPk6ocgHDTTb5cgMC2h87snUoQ0Z6w7Vcjw==
-----END CERTIFICATE-----
"""


def write_certificate(folder: Path) -> Path:
    """The certificate as a file, as `SSL_CERT_FILE` names one."""
    path = folder / "certificate.pem"
    path.write_text(CERTIFICATE)
    return path


def server_side(folder: Path) -> ssl.SSLContext:
    """What a server needs to show it."""
    both = folder / "both.pem"
    both.write_text(KEY + CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context
