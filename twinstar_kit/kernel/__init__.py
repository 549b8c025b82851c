"""The deterministic middle of TwinStar: instruments, orders, matching, ledger and one compiled step.

Nothing here reads a clock, a file, the network or a random generator. Market data and commands go in as
integers, events come out in a buffer, and the same input always gives the same bytes.
"""
