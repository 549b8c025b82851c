"""Looks after a running installation: what is wrong with this machine, and what cures it."""

from twinstar_kit.ops.doctor import Check, examine

__all__ = ["Check", "examine"]
