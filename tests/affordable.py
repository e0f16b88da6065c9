"""Which networks of the catalog tests can build with weights."""

from __future__ import annotations

from vcp_core.catalog.backbones import BACKBONES

# Larger networks take gigabytes and seconds for each test. They run on the meta device, where every test of
# shapes is. tests/backbones/test_vit.py builds narrow ones of their classes.
MOST_PARAMETERS = 100_000_000
AFFORDABLE = [spec.name for spec in BACKBONES.values() if spec.num_parameters <= MOST_PARAMETERS]
