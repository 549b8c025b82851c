"""Makes `python -m twinstar_kit` the same as `twinstar`."""
