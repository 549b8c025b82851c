"""The `twinstar` command: a thin skin, every command calls one public function."""
