"""Speed and memory against named peers, in one run: answers are compared first, then rates, as ratios."""
