// The chart component: lightweight-charts for scales, axes and the crosshair, our own data path and painter.
//
// `new Chart(element, {barsUrl})` is all a host needs: the terminal's page, or a thin adapter for a notebook.

import { CrosshairMode, LineSeries, LineStyle, createChart } from "lightweight-charts";
import { h } from "../dom.js";
import { formatPrice, zoneMinutes } from "../format.js";
import { LAYERS } from "./layers.js";
import { MarkersPrimitive } from "./markers.js";
import { OrderLines, linesFor } from "./orderlines.js";
import { BarsPrimitive } from "./painter.js";
import { endOf } from "./pyramid.js";
import { ReadOut } from "./readout.js";
import { BarSource } from "./source.js";
import { THEME } from "./theme.js";
import { ChartWindow } from "./window.js";

const FIRST_BAR_PX = 7; // width of a bar when a chart opens
const RIGHT_BARS = 14; // empty bars right of the last one
const AXIS_PX = 72;

export class Chart {
  /**
   * `barsUrl({symbol, step, since, until})`: where bars come from, `baseStep` minutes the finest;
   * `onError(error)`: told, never thrown.
   */
  constructor(element, { barsUrl, baseStep = 1, onError = console.error, layers = defaultLayers() }) {
    this.element = element;
    this.state = {
      window: null,
      shown: new Set(layers),
      instrument: null,
      isLinear: () => this.chart.priceScale("right").options().mode === 0,
    };
    this.timeframe = baseStep;
    this.timings = { started_ms: performance.now() };
    this.host = h("div", { class: "chart-host", role: "img", "aria-label": "Price chart" });
    this.readOut = new ReadOut(this.state, (id) => this.toggleLayer(id));
    element.append(this.host, this.readOut.element);
    this.chart = createChart(this.host, chartOptions());
    this.carrier = this.chart.addSeries(LineSeries, this.#carrierOptions());
    this.bars = new BarsPrimitive(this.state);
    this.markers = new MarkersPrimitive(this.state);
    this.carrier.attachPrimitive(this.bars);
    this.carrier.attachPrimitive(this.markers);
    this.orderLines = new OrderLines(this.carrier);
    this.lastLine = this.carrier.createPriceLine({
      price: 0,
      color: THEME.text,
      lineWidth: 1,
      lineStyle: LineStyle.Dotted,
      lineVisible: false,
      axisLabelVisible: false,
      title: "",
    });
    this.window = new ChartWindow({
      timeScale: this.chart.timeScale(),
      carrier: this.carrier,
      zoneMinutes,
      plotWidth: () => Math.max(200, element.clientWidth - AXIS_PX),
      onSet: () => this.#windowSet(),
    });
    this.source = new BarSource({
      barsUrl,
      baseStep,
      onError,
      onPyramid: (pyramid, timings) => this.#pyramidArrived(pyramid, timings),
    });
    this.#watchPointer();
  }

  /** Show another instrument: {symbol, price_decimals, tick, ...}. `now` is the venue's time in ms. */
  setInstrument(instrument, now) {
    this.state.instrument = instrument;
    this.timings = { started_ms: performance.now() };
    this.element.dataset.symbol = instrument.symbol;
    this.carrier.applyOptions({
      priceFormat: {
        type: "custom",
        minMove: instrument.tick,
        formatter: (price) => formatPrice(price, instrument),
      },
    });
    this.readOut.setTitle(`${instrument.symbol} · ${labelOf(this.timeframe)}`);
    this.#unpaint();
    this.#want(now);
  }

  /** Show bars of `timeframe` minutes; as many bars stay in view, ending where they ended. */
  setTimeframe(timeframe, now) {
    if (timeframe === this.timeframe) return;
    const { view } = this.window;
    const bars = view && (view[1] - view[0]) / this.timeframe;
    const rightBars =
      view && this.pyramid && Math.min((view[1] - endOf(this.pyramid)) / this.timeframe, RIGHT_BARS);
    this.timeframe = timeframe;
    if (view) {
      const end =
        rightBars > -1 ? alignedEnd(endOf(this.pyramid), timeframe) + rightBars * timeframe : view[1];
      this.wantedView = [end - bars * timeframe, end];
    }
    this.readOut.setTitle(`${this.state.instrument.symbol} · ${labelOf(timeframe)}`);
    this.#unpaint();
    this.#want(now);
  }

  /** Live bars of the finest step ([minute, o, h, l, c, v]); the last one may still be forming. */
  append(symbol, rows) {
    if (!rows.length || symbol !== this.state.instrument?.symbol) return;
    const before = this.pyramid && endOf(this.pyramid);
    const pyramid = this.source.append(symbol, rows);
    if (!pyramid || pyramid !== this.pyramid) return;
    this.window.appended(pyramid, before);
    this.#drawLast(rows[rows.length - 1][4]);
  }

  /** Load the shown symbol anew: more time passed than live bars cover. */
  reload(now) {
    this.source.forget(this.state.instrument.symbol);
    this.#want(now);
  }

  knownUntil(symbol) {
    return this.source.knownUntil(symbol);
  }

  /** Orders and positions of the shown symbol, as price lines. */
  setOrders(orders, positions) {
    this.orderLines.set(linesFor(orders, positions, this.state.instrument));
  }

  /** Fills of the shown symbol, in time order, as markers. */
  setFills(fills) {
    this.markers.setFills(fills);
  }

  toggleLayer(id) {
    if (!this.state.shown.delete(id)) this.state.shown.add(id);
    this.readOut.reflect();
    this.readOut.update(this.hover);
    this.bars.requestUpdate();
    this.onLayers?.([...this.state.shown]);
  }

  setLogScale(on) {
    this.chart.priceScale("right").applyOptions({ mode: on ? 1 : 0, autoScale: true });
  }

  /** Bring the last bar into view. */
  showLatest() {
    if (!this.pyramid) return;
    this.chart.priceScale("right").applyOptions({ autoScale: true });
    this.window.look(this.#latestView());
  }

  destroy() {
    this.window.close();
    this.source.close();
    window.removeEventListener("pointerup", this.release, true);
    this.chart.remove();
    this.element.replaceChildren();
  }

  #want(now) {
    const reach = (this.window.plotWidth() / FIRST_BAR_PX + 40) * this.timeframe * 2;
    const end = now ? now / 60_000 : undefined;
    this.source.want(this.state.instrument.symbol, this.timeframe, end && [end - reach, end]);
  }

  #pyramidArrived(pyramid, timings) {
    const symbolChanged = this.pyramid?.symbol !== pyramid.symbol;
    this.pyramid = pyramid;
    Object.assign(this.timings, timings);
    const view =
      this.wantedView ?? (this.window.view && !symbolChanged ? this.window.view : this.#latestView());
    this.wantedView = null;
    if (symbolChanged) this.chart.priceScale("right").applyOptions({ autoScale: true });
    this.window.show(pyramid, view);
    const { base } = { base: pyramid.levels[pyramid.timeframe] };
    if (base.n) this.#drawLast(base.close[base.n - 1]);
    this.#markPainted(pyramid);
  }

  #latestView() {
    const end = endOf(this.pyramid) + RIGHT_BARS * this.timeframe;
    const width =
      this.window.view && this.shownTimeframe === this.timeframe
        ? this.window.view[1] - this.window.view[0]
        : (this.window.plotWidth() / FIRST_BAR_PX) * this.timeframe;
    return [end - width, end];
  }

  #windowSet() {
    this.state.window = this.window.shown;
    this.shownTimeframe = this.timeframe;
    this.readOut.update(this.hover);
    this.bars.requestUpdate?.();
  }

  #drawLast(price) {
    if (price !== price) return;
    const base = this.pyramid.levels[this.pyramid.timeframe];
    const colour = price >= base.open[base.n - 1] ? THEME.up : THEME.down;
    this.lastLine.applyOptions({
      price,
      color: colour,
      axisLabelColor: colour,
      axisLabelTextColor: "#ffffff",
      lineVisible: true,
      axisLabelVisible: true,
    });
  }

  /** `data-painted` names what is on the screen, once the frame that drew it is done. */
  #markPainted(pyramid) {
    if (!this.window.shown?.n) return;
    const label = `${pyramid.symbol} ${labelOf(pyramid.timeframe)}`;
    requestAnimationFrame(() =>
      setTimeout(() => {
        if (this.pyramid !== pyramid) return;
        this.element.dataset.painted = label;
        this.element.dataset.history = pyramid.partial ? "window" : "year";
        this.timings.painted_ms ??= performance.now() - this.timings.started_ms;
      }),
    );
  }

  #unpaint() {
    delete this.element.dataset.painted;
    delete this.element.dataset.history;
  }

  #carrierOptions() {
    return {
      lineVisible: false,
      crosshairMarkerVisible: false,
      priceLineVisible: false,
      lastValueVisible: false,
      autoscaleInfoProvider: () => {
        const range = this.#visibleExtremes();
        return range && { priceRange: range };
      },
    };
  }

  #visibleExtremes() {
    const shown = this.window.shown;
    const visible = shown && this.chart.timeScale().getVisibleLogicalRange();
    if (!visible) return null;
    const from = shown.k0 + Math.max(0, Math.floor(visible.from));
    const to = shown.k0 + Math.min(shown.n, Math.ceil(visible.to) + 1);
    const { low, high } = shown.bars;
    let minValue = Infinity,
      maxValue = -Infinity;
    for (let k = from; k < to; k++) {
      if (low[k] < minValue) minValue = low[k];
      if (high[k] > maxValue) maxValue = high[k];
    }
    return maxValue > minValue
      ? { minValue, maxValue }
      : maxValue === minValue
        ? { minValue: minValue * 0.999, maxValue: maxValue * 1.001 }
        : null;
  }

  #watchPointer() {
    let scheduled = false;
    this.chart.subscribeCrosshairMove(({ logical }) => {
      if (logical === this.hover) return;
      this.hover = logical;
      if (scheduled) return;
      scheduled = true;
      requestAnimationFrame(() => {
        scheduled = false;
        this.readOut.update(this.hover);
      });
    });
    this.host.addEventListener("pointerdown", () => this.window.hold(true), true);
    this.release = () => this.window.dragging && this.window.hold(false);
    window.addEventListener("pointerup", this.release, true);
    window.addEventListener("pointercancel", this.release, true);
  }
}

/** 1 -> "1m", 60 -> "1h", 1440 -> "1D" */
export function labelOf(minutes) {
  return minutes % 1440 === 0
    ? `${minutes / 1440}D`
    : minutes % 60 === 0
      ? `${minutes / 60}h`
      : `${minutes}m`;
}

export function defaultLayers() {
  return ["volume", ...LAYERS.filter((layer) => layer.on).map((layer) => layer.id)];
}

const alignedEnd = (minute, timeframe) => Math.ceil(minute / timeframe) * timeframe;

function chartOptions() {
  const crosshair = {
    color: THEME.crosshair,
    labelBackgroundColor: THEME.crosshairLabel,
    style: LineStyle.Dashed,
    width: 1,
  };
  return {
    autoSize: true,
    layout: {
      background: { color: THEME.background },
      textColor: THEME.text,
      fontSize: 11,
      fontFamily: THEME.font,
      attributionLogo: true,
    },
    grid: { vertLines: { color: THEME.grid }, horzLines: { color: THEME.grid } },
    crosshair: { mode: CrosshairMode.Normal, vertLine: crosshair, horzLine: crosshair },
    rightPriceScale: {
      scaleMargins: { top: 0.12, bottom: 0.2 },
      minimumWidth: AXIS_PX,
      borderColor: THEME.border,
    },
    timeScale: {
      timeVisible: true,
      secondsVisible: false,
      minBarSpacing: 0.2,
      rightOffset: RIGHT_BARS,
      borderColor: THEME.border,
      shiftVisibleRangeOnNewBar: false,
      enableConflation: false,
    },
    localization: { locale: "en-GB", dateFormat: "yyyy-MM-dd" },
  };
}
