"""Builds the compiled part of the package. All else stands in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "vcp_core.video._kernel",
            ["vcp_core/video/_kernel.c"],
            # A fused multiply-add rounds once instead of twice, so it would give other bytes than NumPy.
            extra_compile_args=["-O3", "-ffp-contract=off"],
            py_limited_api=True,
            optional=True,  # a machine without a compiler installs the NumPy form, which gives the same bytes
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
