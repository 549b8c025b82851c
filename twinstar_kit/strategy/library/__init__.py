"""The starter kit: strategies that `load` knows by name. Each module holds one strategy and is named after it."""
