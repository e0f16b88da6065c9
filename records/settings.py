"""Settings from environment variables. Each begins with `VCPBENCH_`, and .env.example lists them all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.validation import expected

Queue = Literal["cpu", "gpu"]
SECRETS = "VCPBENCH_SECRETS"
GIB = 1 << 30
ADDRESS = r"^(https?://[^\s/]+(/[^\s]*)?)?$"
_TEAM = r"[^;]+=[\w.+/ -]+:(reader|submitter|admin)"
TEAMS = rf"^({_TEAM}(;{_TEAM})*)?$"
PATTERNS = {
    ADDRESS: "an address, https://HOST or http://HOST",
    TEAMS: "GROUP=TEAM:ROLE, several divided by semicolons; a role is reader, submitter or admin",
}


class Retention(BaseSettings):
    """How long, and how much, is kept of what workers can make again.

    Attributes:
        features_days: Features are deleted so many days after their last use. Workers make them again when
            an evaluation or a map needs them. Maps by older versions, and controls that no evaluation needs,
            are kept as long. With 0, all of these are kept for ever.
        features_gib: Largest size of all features, GiB. Those that were used longest ago go first. With 0,
            there is no limit.
        media_days: As `features_days`, for previews of videos.
        media_gib: As `features_gib`, for previews of videos.
    """

    model_config = SettingsConfigDict(env_prefix="VCPBENCH_", extra="ignore", frozen=True)

    features_days: Annotated[float, Field(ge=0)] = 90
    features_gib: Annotated[float, Field(ge=0)] = 0
    media_days: Annotated[float, Field(ge=0)] = 30
    media_gib: Annotated[float, Field(ge=0)] = 0

    @classmethod
    def load(cls) -> Self:
        """Read the settings from this process's environment, and from the files of `VCPBENCH_SECRETS`.

        Raises:
            SettingsError: If a variable is missing or invalid. The message names every such variable.
        """
        folder = os.environ.get(SECRETS) or None
        if folder and not os.path.isdir(folder):
            what = "is not a folder" if os.path.exists(folder) else "does not exist"
            raise SettingsError(f"{SECRETS}: {folder} {what}. Name the folder of the files with secrets.")
        try:
            return cls(_secrets_dir=folder)
        except ValidationError as error:
            raise SettingsError(_readable(error)) from None


class Settings(Retention):
    """The addresses of database, broker and store, and the limits of this installation.

    `VCPBENCH_SECRETS` names a folder of files with more settings, such as Docker's /run/secrets. A file has a
    setting's name, `vcpbench_database_url`, and holds its value. A variable of that name comes first.

    Attributes:
        database_url: PostgreSQL, `postgresql://user:password@host:5432/vcpbench`.
        broker_url: Valkey or Redis, `redis://:password@host:6379/0` or `redis+socket:///path?virtual_host=0`.
        store_url: Objects, `file:///folder` or `s3://bucket/prefix`; for S3, keys, region and endpoint come
            from the usual `AWS_...` variables.
        host: The address the service listens on.
        port: The port it listens on.
        public_url: Where readers reach the service behind a proxy: `https://host`. Pages print this address,
            and for https a login's cookie is Secure. If empty, the address of each request is used.
        public_read: Whether results can be read without a token.
        new_models_private: Whether a new model is private if its first upload does not say.
        max_upload_bytes: Largest checkpoint that can be uploaded.
        requests_per_minute: Most requests in a minute from one token, or from one address without a token.
            A web page or a waiting client asks every 2 s. With 0, requests are not counted.
        team_bytes: Bytes of files that a team may store. With 0, there is no limit. An administrator may give
            a team a limit of its own. The same holds for the next two.
        team_uploads_a_day: Checkpoints that a team may declare or upload within 24 hours.
        team_running: Evaluations of a team that may wait or run.
        share_links_days: Longest lifetime of a share link, in days. With 0, all links stop working, including
            existing ones.
        token_days: Longest life of a token that somebody makes by the API or a page, in days. With 0, tokens
            may live for ever. An operator's `vcpbench token create` on the server is not bound.
        oidc_issuer: The OpenID Connect provider at which people sign in, `https://login.example.org`. If
            empty, people log in with tokens only.
        oidc_client_id: The name of this installation at the provider.
        oidc_client_secret: Its secret there; empty for a public client.
        oidc_groups_claim: The claim that lists the groups of a person.
        oidc_teams: Which group is which team and role: `GROUP=TEAM:ROLE;GROUP=TEAM:ROLE`. The first one
            counts that a person is in.
        oidc_hours: How long a sign-in lasts, hours. Somebody whose group is gone loses access then, at the
            latest.
        webhook_networks: Networks that webhooks may reach beside public addresses, such as 10.0.0.0/8; also
            without TLS. None by default: a webhook must not reach the installation's own network.
        deliveries: Whether a worker also sends the deliveries of webhooks. Switch it off where workers reach
            nothing outside, and run `python -m worker --deliver` where that is possible.
        audit_days: How long the audit log keeps who changed what, in days.
        datasets_are_local: Whether the service sees the same folders as the workers. If so, the service
            refuses to register a folder that does not exist. If not, a worker reports the missing folder.
        queues: The queues that a worker takes. "gpu" forwards clips on `device`; "cpu" does all other jobs.
        device: Where a worker runs networks: "cpu", "cuda", "cuda:1"; "auto" is the first GPU, or the CPU.
        scratch: Folder of a worker's temporary files and its copies of objects; nobody else may write there.
        child_memory_mib: Memory that the child of each worker may take, MiB. With 0, three quarters of what
            the machine or the container has; set it where several workers share a machine.
        lease_s: How long a silent worker keeps a claimed job, seconds.
        shard_clips: Clips of one job. About a minute of work is a good size, so raise it for fast GPUs.
        fit_values: Fewest numbers (rows x columns x fits) that a job of linear probes reads. The default is
            about half a minute on one CPU core. A smaller evaluation is fitted by one job. With 0, each part
            of a benchmark is a job.
        idle_look_s: How often an idle worker looks for work without being woken, seconds.
        log_format: "text" for people, "json" for machines.
    """

    database_url: SecretStr
    broker_url: SecretStr
    store_url: str
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    public_url: Annotated[str, Field(pattern=ADDRESS)] = ""
    public_read: bool = False
    new_models_private: bool = False
    max_upload_bytes: Annotated[int, Field(ge=1)] = 4 * GIB
    requests_per_minute: Annotated[int, Field(ge=0)] = 3000
    team_bytes: Annotated[int, Field(ge=0)] = 0
    team_uploads_a_day: Annotated[int, Field(ge=0)] = 0
    team_running: Annotated[int, Field(ge=0)] = 0
    share_links_days: Annotated[int, Field(ge=0, le=365)] = 365
    token_days: Annotated[int, Field(ge=0, le=3650)] = 0
    oidc_issuer: Annotated[str, Field(pattern=ADDRESS)] = ""
    oidc_client_id: str = ""
    oidc_client_secret: SecretStr = SecretStr("")
    oidc_groups_claim: Annotated[str, Field(min_length=1)] = "groups"
    oidc_teams: Annotated[str, Field(pattern=TEAMS)] = ""
    oidc_hours: Annotated[int, Field(ge=1, le=720)] = 12
    webhook_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()
    deliveries: bool = True
    audit_days: Annotated[int, Field(ge=1)] = 365
    datasets_are_local: bool = False
    queues: Annotated[tuple[Queue, ...], NoDecode, Field(min_length=1)] = ("cpu", "gpu")
    device: str = "auto"
    scratch: Path = Path(tempfile.gettempdir()) / f"vcpbench-{os.getuid()}"
    child_memory_mib: Annotated[int, Field(ge=0)] = 0
    lease_s: Annotated[float, Field(gt=0)] = 60.0
    shard_clips: Annotated[int, Field(ge=1)] = 256
    fit_values: Annotated[int, Field(ge=0)] = 200_000_000
    idle_look_s: Annotated[float, Field(gt=0)] = 10.0
    log_format: Literal["text", "json"] = "text"

    @field_validator("queues", "webhook_networks", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(value.split(",")) if value else ()


def database_url() -> str | None:
    """Read the database's address alone, for a command that needs no other setting; None if there is none."""
    named, folder = os.environ.get("VCPBENCH_DATABASE_URL"), os.environ.get(SECRETS)
    path = Path(folder, "vcpbench_database_url") if folder else None
    return named or (path.read_text().strip() if path and path.exists() else None)


class SettingsError(VcpbenchError):
    """A `VCPBENCH_...` variable is missing or invalid."""


def _readable(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        variable = "VCPBENCH_" + "_".join(map(str, problem["loc"][:1])).upper()
        if problem["type"] == "missing":
            problems.append(f"{variable} is not set")
        else:  # leave out the value, which may hold a password
            problems.append(f"{variable}: it must be {expected(problem, PATTERNS)}")
    return "; ".join(problems) + ". See .env.example and docs/operating.md."
