"""Turns a strategy class into machine code: reads its source, checks it, and generates a module that numba caches.

In the order a class passes through: `source` finds the text, `inference` checks names and types when the class is
made, `subset` decides whether it compiles, `generate` writes the module (`edits` changes single expressions, on
their lines), `modules` keeps it on disk, `pointers` and `exact` are what the module runs on, `build` drives it all.
"""
