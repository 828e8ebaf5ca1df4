"""The code location that workspace.yaml loads."""

from assets.build import build_defs

defs = build_defs()
