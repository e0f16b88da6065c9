"""The facts of one checkpoint's network: the family's, its key scheme's, its variant's, its declared input's.

A *reading* is the key scheme that the file's names show, with its version, and the variant that the user
named. A declared input overrides the normalisation of both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from vcp_core.catalog.backbones import BACKBONES
from vcp_core.catalog.errors import UnknownName
from vcp_core.catalog.graphs import GraphFacts
from vcp_core.catalog.inputs import InputSpec, input_of, with_input
from vcp_core.catalog.keys import KeyScheme
from vcp_core.catalog.specs import GRAPH, PIXELS, BackboneSpec
from vcp_core.catalog.variants import Variant

# Words of an input. The key scheme decides the colours, and the family the clips unless the scheme does.
COLOURS, CLIPS = ("mean", "std"), ("frames", "stride", "resize", "crop")
# By family: what its normalisations are called, and which of its facts leave no trace in names and shapes.
UNSEEN_OF_CONVOLUTIONS = ("batch-norm", "strides, dilation and poolings")
UNSEEN = {"vit": ("layer-norm", "attention heads and positions")}


def resolve(
    backbone: str | GraphFacts,
    *,
    scheme: str | None = None,
    variant: str | None = None,
    input_spec: str | None = None,
) -> BackboneSpec:
    """Give the facts of one checkpoint's network.

    Args:
        backbone: A name of the catalog, or the facts of a graph.
        scheme: The key scheme of the file; None or "" for the backbone's first.
        variant: The variant that the user named.
        input_spec: The input that the user declared (`vcp_core.catalog.inputs`).

    Raises:
        UnknownName: If there is no such backbone, key scheme or variant.
        InputError: If the declared input is not valid, or does not fit the backbone. Also if a graph's input
            is not known.

    >>> resolve("slow_r50", scheme="MMAction2").normalisation.mean
    (0.485, 0.456, 0.406)
    >>> resolve("slow_r50", scheme="MMAction2", input_spec="mean=0.45").normalisation.mean
    (0.45, 0.45, 0.45)
    """
    if isinstance(backbone, GraphFacts):
        spec, input_spec = backbone.spec, backbone.input(input_spec)
    else:
        spec = BACKBONES[backbone]
    if scheme:
        spec = _with_scheme(spec, scheme_of(spec, scheme))
    if variant is not None:
        spec = _with_variant(spec, variant_of(spec, variant))
    return with_input(spec, input_spec)


def scheme_of(spec: BackboneSpec, name: str) -> KeyScheme:
    """Find a backbone's key scheme.

    Raises:
        UnknownName: If the backbone has no such key scheme.
    """
    known = {scheme.name: scheme for scheme in spec.keys}
    if name not in known:
        raise UnknownName(f"key scheme of {spec.name}", name, known)
    return known[name]


def variant_of(spec: BackboneSpec, name: str) -> Variant:
    """Find a backbone's variant.

    Raises:
        UnknownName: If the backbone has no such variant. The message lists those that it has.

    >>> try:
    ...     variant_of(BACKBONES["r3d_18"], "tlcr")
    ... except UnknownName as error:
    ...     print(error)
    No variant of r3d_18 'tlcr'. Did you mean 'tclr'? Known: bgr, tclr.
    """
    known = {variant.name: variant for variant in spec.variants}
    if name not in known:
        raise UnknownName(f"variant of {spec.name}", name, known)
    return known[name]


def check_variant(name: str, *, backbone: str | None = None) -> None:
    """Make sure that a variant exists, before the file is read.

    Args:
        name: The variant.
        backbone: The backbone that must have it; None if only the file will tell.

    Raises:
        UnknownName: If there is no such variant or backbone.
    """
    if backbone is not None:
        variant_of(BACKBONES[backbone], name)
        return
    known = {variant.name for spec in BACKBONES.values() for variant in spec.variants}
    if name not in known:
        raise UnknownName("variant", name, sorted(known))


def version_of(backbone: str | None, scheme: str | None) -> int:
    """The version of a checkpoint's key scheme; 1 if either is not known, as for old reports and pixels.

    >>> version_of("slow_r50", "MMAction2"), version_of("slow_r50", "SlowFast"), version_of(None, None)
    (2, 1, 1)
    """
    schemes = BACKBONES[backbone].keys if backbone is not None and backbone in BACKBONES else ()
    return next((one.version for one in schemes if one.name == scheme), 1)


def renewed() -> Iterator[tuple[str, str, int]]:
    """List the key schemes whose facts changed: backbone, scheme, and its version now.

    >>> list(renewed())
    [('slow_r50', 'MMAction2', 2)]
    """
    for spec in BACKBONES.values():
        yield from ((spec.name, scheme.name, scheme.version) for scheme in spec.keys if scheme.version > 1)


def reading_in_keys(spec: BackboneSpec) -> list[str]:
    """What the keys of features and controls hold of a reading: scheme, version and variant.

    A graph has its structure and its stages there, because its name holds only the first digits.

    Others have nothing for what every key has meant so far: version 1, no variant, and the backbone's own
    epsilon, order of channels and arguments. The keys have always held the normalisation, so features that
    were made before there were readings keep theirs.

    >>> reading_in_keys(resolve("r3d_18", variant="tclr")), reading_in_keys(resolve("r3d_18"))
    (['torchvision', '1', 'tclr'], [])
    """
    variant = spec.variant.name if spec.variant else ""
    if spec.family == GRAPH:
        return [*map(str, spec.arguments.values()), *spec.stages, variant]
    usual = BACKBONES[spec.name] if spec.name in BACKBONES else spec  # noqa: SIM401 - no `get`
    as_usual = (spec.epsilon, spec.bgr, spec.arguments) == (usual.epsilon, usual.bgr, usual.arguments)
    if spec.facts.version == 1 and spec.variant is None and as_usual:
        return []
    return [spec.facts.name, str(spec.facts.version), variant]


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """A fact that the evaluation relies on, and that cannot be seen in the file.

    Attributes:
        fact: What is assumed ("batch-norm epsilon").
        value: Its value.
        source: The project or paper that it comes from.
    """

    fact: str
    value: str
    source: str

    def __str__(self) -> str:
        """A line for people.

        >>> print(Assumption(fact="batch-norm epsilon", value="1e-05", source="torchvision"))
        batch-norm epsilon 1e-05 (torchvision)
        """
        return f"{self.fact} {self.value} ({self.source})"


def assumed(spec: BackboneSpec) -> tuple[Assumption, ...]:
    """List what an evaluation of this network relies on, and neither the file nor the user says.

    >>> for one in assumed(resolve("r3d_18", variant="bgr", input_spec="frames=32")):
    ...     print(one.fact, one.value)
    input stride=1,resize=128x171,crop=112
    normalisation mean=0.43216/0.394666/0.37645,std=0.22803/0.22145/0.216989
    batch-norm epsilon 1e-05
    strides, dilation and poolings the usual ones of r3d_18
    """
    if spec.name == PIXELS:
        return ()
    shown = spec.family == GRAPH  # a program shows its epsilon, strides and poolings
    found: list[Assumption] = []
    facts, variant = spec.facts, spec.variant
    whole = InputSpec.parse(input_of(spec))
    pixels = variant.source if variant and "normalisation" in variant.facts else facts.source
    clips = variant.source if variant and variant.input else facts.source if facts.input else spec.source
    for fact, words, source in (
        ("input", set(CLIPS), clips),
        ("normalisation", set(COLOURS), pixels),
    ):
        left = words - spec.declared
        if left:
            kept = {word: getattr(whole, word) for word in left}
            found.append(Assumption(fact=fact, value=str(InputSpec(**kept)), source=source))
    norms, form = UNSEEN.get(spec.family, UNSEEN_OF_CONVOLUTIONS)
    if not shown and spec.epsilon is not None:
        value = f"{spec.epsilon:g}"
        found.append(Assumption(fact=f"{norms} epsilon", value=value, source=facts.source))
    if variant is None or variant.bgr is None:
        value = "blue, green, red" if spec.bgr else "red, green, blue"
        found.append(Assumption(fact="channels", value=value, source=facts.source))
    if not shown and (variant is None or not variant.arguments):
        value, source = f"the usual ones of {spec.name}", spec.source
        if facts.arguments:
            value, source = f"those of {spec.name} in {facts.name}", facts.source
        found.append(Assumption(fact=form, value=value, source=source))
    return tuple(found)


def _with_scheme(spec: BackboneSpec, scheme: KeyScheme) -> BackboneSpec:
    spec = dataclasses.replace(
        spec,
        scheme=scheme,
        arguments={**spec.arguments, **scheme.arguments},
        last_strides=scheme.last_strides or spec.last_strides,
    )
    return _with_clips(spec, scheme.input)


def _with_variant(spec: BackboneSpec, variant: Variant) -> BackboneSpec:
    spec = dataclasses.replace(
        spec,
        scheme=dataclasses.replace(spec.facts, **variant.facts),
        variant=variant,
        arguments={**spec.arguments, **variant.arguments},
        last_strides=variant.last_strides or spec.last_strides,
    )
    return _with_clips(spec, variant.input)


def _with_clips(spec: BackboneSpec, usual: str | None) -> BackboneSpec:
    # The project says this input, and not the user.
    return dataclasses.replace(with_input(spec, usual), declared=frozenset())
