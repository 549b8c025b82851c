// A pyramid: one symbol's bars at one timeframe, and the same bars merged at coarser and coarser steps, so that any
// zoom draws at most one bar a pixel without asking the server.

import { buffersOf, fold, makeColumns, writeBar } from "./columns.js";
import { fillLines, LAYER_IDS } from "./layers.js";

/** Steps in minutes; those that are multiples of a timeframe are its levels. */
export const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 720, 1440];

/** Levels above `base` (columns at `timeframe` minutes, lines not yet filled). */
export function buildPyramid({ symbol, timeframe, start, base }) {
  fillLines(base, { start, step: timeframe });
  const pyramid = {
    symbol,
    timeframe,
    start,
    steps: [timeframe],
    levels: { [timeframe]: base },
    partial: false,
  };
  for (const step of STEPS) {
    // Level 2 of one-minute bars is never stored: the window merges it on the fly from level 1, and saves 40 %.
    if (step <= timeframe || step % timeframe || step === 2 * timeframe) continue;
    const from = finestDivisor(pyramid, step);
    const fine = pyramid.levels[from];
    const coarse = makeColumns(Math.ceil(fine.n / (step / from)), LAYER_IDS);
    pyramid.levels[step] = fold(coarse, fine, step / from);
    pyramid.steps.push(step);
  }
  return pyramid;
}

/** A pyramid of one level without lines: what is painted until the year has arrived. */
export function partialPyramid({ symbol, timeframe, start, base }) {
  return { symbol, timeframe, start, steps: [timeframe], levels: { [timeframe]: base }, partial: true };
}

/** The pyramid of `timeframe` derived from the pyramid of the finest bars of the same symbol. */
export function derivePyramid(finest, timeframe) {
  const from = finestDivisor(finest, timeframe);
  const fine = finest.levels[from];
  const base = fold(makeColumns(Math.ceil(fine.n / (timeframe / from)), LAYER_IDS), fine, timeframe / from);
  return buildPyramid({ symbol: finest.symbol, timeframe, start: finest.start, base });
}

/** The coarsest stored step that divides `step`. */
export function finestDivisor(pyramid, step) {
  let best = pyramid.timeframe;
  for (const candidate of pyramid.steps) if (candidate < step && step % candidate === 0) best = candidate;
  return best;
}

/** Whether `step` is stored or can be merged from a stored level. */
export function canShow(pyramid, step) {
  return step >= pyramid.timeframe && step % pyramid.timeframe === 0;
}

/** Number of bars of the pyramid's own timeframe. */
export const lengthOf = (pyramid) => pyramid.levels[pyramid.timeframe].n;

/** The minute at which the last bar of the pyramid ends. */
export const endOf = (pyramid) => pyramid.start + lengthOf(pyramid) * pyramid.timeframe;

/**
 * Write bars ([minute, open, high, low, close, volume], ascending) into the pyramid's base and carry them up.
 * Returns the first base index that changed, or -1 when `rows` hold nothing at or after the grid's start.
 */
export function appendBars(pyramid, rows) {
  const base = pyramid.levels[pyramid.timeframe];
  let first = -1;
  for (const [minute, open, high, low, close, volume] of rows) {
    const k = Math.floor((minute - pyramid.start) / pyramid.timeframe);
    if (k < 0) continue;
    writeBar(base, k, open, high, low, close, volume);
    if (first < 0) first = k;
  }
  if (first >= 0) carryUp(pyramid, first);
  return first;
}

/** Carry bars of the finest pyramid from base index `from` into a derived one. */
export function appendDerived(derived, finest, from) {
  const ratio = derived.timeframe / finest.timeframe;
  const first = Math.floor(from / ratio);
  fold(derived.levels[derived.timeframe], finest.levels[finest.timeframe], ratio, first);
  carryUp(derived, first);
}

function carryUp(pyramid, first) {
  const { timeframe, levels } = pyramid;
  if (!pyramid.partial) fillLines(levels[timeframe], { start: pyramid.start, step: timeframe }, first);
  for (const step of pyramid.steps) {
    if (step === timeframe) continue;
    fold(levels[step], levels[timeframe], step / timeframe, Math.floor((first * timeframe) / step));
  }
}

/** Every buffer of the pyramid, for a transfer from the worker to the page. */
export function pyramidBuffers(pyramid) {
  return pyramid.steps.flatMap((step) => buffersOf(pyramid.levels[step]));
}
