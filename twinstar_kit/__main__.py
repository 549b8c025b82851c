"""Makes `python -m twinstar_kit` the same as `twinstar`."""

from twinstar_kit.cli import main

if __name__ == "__main__":
    main()
