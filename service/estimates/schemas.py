"""Estimates as clients see them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SpanOut(BaseModel):
    """A range of seconds."""

    model_config = ConfigDict(from_attributes=True)

    low: float = Field(examples=[40.0])
    high: float = Field(examples=[95.0])


class NetworkEstimateOut(BaseModel):
    """One network of an evaluation: the checkpoint, random weights, or pixels."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["random weights 0"])
    clips: int = Field(description="Clips to forward, those that calibrate random weights included.")
    feature_bytes: int = Field(description="Bytes of its features: clips x numbers of a clip x 4.")
    kept: bool = Field(description="Whether it is measured already, so that it takes no time.")


class QueueEstimateOut(BaseModel):
    """A queue as it is now."""

    name: str = Field(examples=["gpu"])
    workers: int = Field(description="Workers that take it.")
    waiting: int = Field(description="Jobs that wait in it. They come before those of a new evaluation.")


class MeasuredOut(BaseModel):
    """Where the rates come from."""

    evaluations: int = Field(description="Evaluations, the last of this backbone.")
    shards: int = Field(description="Shards of clips of these evaluations.")
    devices: list[str] = Field(description="Devices that forwarded these shards.")
    scoring: bool = Field(
        description="Whether scoring was measured under this protocol. Otherwise its time is a rule of thumb."
    )


class EstimateOut(BaseModel):
    """What an evaluation of a new checkpoint takes."""

    dataset: str
    protocol: str
    backbone: str
    videos: int
    clips: int = Field(description="Distinct clips of one network, each of which is forwarded once.")
    of_sample: bool = Field(description="Whether clips were counted in a sample of the videos.")
    networks: list[NetworkEstimateOut]
    decode_s: SpanOut | None = Field(
        description="Waiting for decoded frames, for all networks, on one worker."
    )
    forward_s: SpanOut | None = Field(description="Forwarding all networks, on one worker.")
    scoring_s: SpanOut | None = Field(description="Scoring all networks, on one worker.")
    total_s: SpanOut | None = Field(
        description="Everything, on the workers that are there now, once the jobs that wait are done. Null "
        "if nothing was measured yet."
    )
    longest: str | None = Field(description="The part that takes longest.", examples=["forwarding"])
    disk_bytes: int = Field(description="Bytes of the features of the networks that are not measured yet.")
    memory_bytes: int = Field(
        description="Memory of a worker: weights and a batch of clips, without activations, and the largest "
        "probe or ranking."
    )
    queues: list[QueueEstimateOut]
    measured: MeasuredOut | None = Field(description="Null if nothing was measured yet.")
    remarks: list[str] = Field(
        description="What limits the estimate, in words.", examples=[["no evaluation of r3d ran here yet"]]
    )
