"""Settings by environment: every variable begins with `VCPBENCH_`, and each is listed in .env.example."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from vcp_core.catalog.errors import VcpbenchError
from vcp_core.catalog.validation import expected

Queue = Literal["cpu", "gpu"]
GIB = 1 << 30
ADDRESS = r"^(https?://[^\s/]+(/[^\s]*)?)?$"
PATTERNS = {ADDRESS: "an address, https://HOST or http://HOST"}


class Settings(BaseSettings):
    """Where the engines are, and the limits of this installation.

    Attributes:
        database_url: PostgreSQL, `postgresql://user:password@host:5432/vcpbench`.
        broker_url: Valkey or Redis, `redis://:password@host:6379/0` or `redis+socket:///path?virtual_host=0`.
        store_url: Objects, `file:///folder` or `s3://bucket/prefix`; for S3, keys, region and endpoint come
            from the usual `AWS_...` variables.
        host: The address the service listens on.
        port: The port it listens on.
        public_url: Where readers reach the service, if a proxy stands before it: `https://host`. A login's
            cookie is then Secure, and pages print it; empty is as each request says.
        public_read: Whether results can be read without a token.
        max_upload_bytes: Of one checkpoint.
        datasets_are_local: Whether the service sees datasets' folders as the workers do. It then refuses to
            register one that does not exist; otherwise a worker says so when it looks.
        queues: What a worker takes: "gpu" forwards clips (on whatever `device` is), "cpu" does all the rest.
        device: Of a worker's networks: "cpu", "cuda", "cuda:1"; "auto" is the first GPU if there is one.
        scratch: Folder of a worker's temporary files and its copies of objects; nobody else may write there.
        lease_s: How long a claimed job stays a silent worker's, seconds.
        shard_clips: Clips of one job; about a minute of work is a good size, so raise it for fast GPUs.
        idle_look_s: How often an idle worker looks for work without being woken, seconds.
        log_format: "text" for people, "json" for machines.
    """

    model_config = SettingsConfigDict(env_prefix="VCPBENCH_", extra="ignore", frozen=True)

    database_url: SecretStr
    broker_url: SecretStr
    store_url: str
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    public_url: Annotated[str, Field(pattern=ADDRESS)] = ""
    public_read: bool = False
    max_upload_bytes: Annotated[int, Field(ge=1)] = 4 * GIB
    datasets_are_local: bool = False
    queues: Annotated[tuple[Queue, ...], NoDecode, Field(min_length=1)] = ("cpu", "gpu")
    device: str = "auto"
    scratch: Path = Path(tempfile.gettempdir()) / f"vcpbench-{os.getuid()}"
    lease_s: Annotated[float, Field(gt=0)] = 60.0
    shard_clips: Annotated[int, Field(ge=1)] = 256
    idle_look_s: Annotated[float, Field(gt=0)] = 10.0
    log_format: Literal["text", "json"] = "text"

    @field_validator("queues", mode="before")
    @classmethod
    def _by_commas(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @classmethod
    def load(cls) -> Settings:
        """The settings of this process's environment.

        Raises:
            SettingsError: Naming every variable that is missing or makes no sense.
        """
        try:
            return cls()
        except ValidationError as error:
            raise SettingsError(_readable(error)) from None


class SettingsError(VcpbenchError):
    """A `VCPBENCH_...` variable that is missing or makes no sense."""


def _readable(error: ValidationError) -> str:
    problems = []
    for problem in error.errors():
        variable = "VCPBENCH_" + "_".join(map(str, problem["loc"][:1])).upper()
        if problem["type"] == "missing":
            problems.append(f"{variable} is not set")
        else:  # without the value: it may hold a password
            problems.append(f"{variable}: it must be {expected(problem, PATTERNS)}")
    return "; ".join(problems) + ". See .env.example and docs/operating.md."
