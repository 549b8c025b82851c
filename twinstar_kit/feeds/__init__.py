"""Market data as the rest of TwinStar reads it: files of real bars, replays, and the simulated market.

A `Feed` answers for any time by reading, never by waiting; clocks say what time it is. Data that was simulated or
derived says so.
"""
