// Numbers and times as people read them: grouped, with the instrument's own decimals, in their own zone.

const formats = new Map();

function fixed(decimals, least = decimals) {
  const key = decimals * 100 + least;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat("en-US", {
      minimumFractionDigits: least,
      maximumFractionDigits: decimals,
    });
    formats.set(key, format);
  }
  return format;
}

const DASH = "–";
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** A price with as many decimals as its instrument's tick. */
export const formatPrice = (value, instrument) =>
  isNumber(value) ? fixed(instrument.price_decimals).format(value) : DASH;

/** An amount of the base asset, exact to the lot but without trailing zeros. */
export const formatLots = (value, instrument) =>
  isNumber(value) ? fixed(instrument.amount_decimals, 0).format(value) : DASH;

/** An amount for reading at a glance: four significant digits and K, M, B. */
export function formatAmount(value) {
  if (!isNumber(value)) return DASH;
  const size = Math.abs(value);
  for (const [limit, letter] of [
    [1e9, "B"],
    [1e6, "M"],
    [1e4, "K"],
  ]) {
    if (size >= limit) return fixed(2).format(value / (letter === "K" ? 1e3 : limit)) + letter;
  }
  if (size === 0) return "0";
  const decimals = Math.max(0, Math.min(8, 3 - Math.floor(Math.log10(size))));
  return fixed(decimals, Math.min(decimals, 2)).format(value);
}

/** An amount in a column whose largest is `largest`: one number of decimals for all, so that they align. */
export function formatColumn(value, largest) {
  if (largest >= 1e6) return formatAmount(value);
  return fixed(largest > 0 ? Math.max(0, Math.min(8, 4 - Math.ceil(Math.log10(largest)))) : 0).format(value);
}

const MONEY = ["USDT", "USDC", "USD", "EUR"];

/** Money of `asset`: to the cent (KRW to the won), coins to eight decimals without trailing zeros. */
export const formatMoney = (value, asset) => {
  if (!isNumber(value)) return DASH;
  if (asset === "KRW") return fixed(0).format(value);
  return (MONEY.includes(asset) ? fixed(2) : fixed(8, 2)).format(value);
};

/** An amount with what it counts: 0.5 BTC, 100 contracts. */
export const formatCounted = (value, instrument) =>
  instrument.kind === "inverse"
    ? `${formatLots(value, instrument)} ${value === 1 ? "contract" : "contracts"}`
    : `${formatLots(value, instrument)} ${instrument.base}`;

/** A ratio as a signed percentage. */
export function formatPercent(ratio) {
  if (!isNumber(ratio)) return DASH;
  const text = fixed(2).format(ratio * 100);
  return `${ratio > 0 && text !== "0.00" ? "+" : ""}${text === "-0.00" ? "0.00" : text}%`;
}

/** A funding rate: a signed percentage to the fourth decimal. */
export const formatRate = (ratio) => `${ratio > 0 ? "+" : ""}${fixed(4).format(ratio * 100)}%`;

/** Time left: 07:59:30 */
export const formatSpan = (ms) => new Date(ms).toISOString().slice(11, 19);

/** A signed difference of prices. */
export const formatMove = (value, instrument) => (value > 0 ? "+" : "") + formatPrice(value, instrument);

/** A signed difference of money. */
export function formatSigned(value, asset) {
  if (!isNumber(value)) return DASH;
  const size = formatMoney(Math.abs(value), asset);
  return /[1-9]/.test(size) ? (value > 0 ? "+" : "-") + size : size;
}

/** The reader's zone as a fixed offset in minutes, and its name. */
export const zoneMinutes = -new Date().getTimezoneOffset();
export const zoneName =
  zoneMinutes === 0 ? "UTC" : `UTC${zoneMinutes > 0 ? "+" : "−"}${Math.abs(zoneMinutes / 60)}`;

const shifted = (ms) => new Date(ms + zoneMinutes * 60_000).toISOString();

/** 14:03:21 */
export const formatTime = (ms) => shifted(ms).slice(11, 19);

/** 11-22 14:03:21 */
export const formatStamp = (ms) => shifted(ms).slice(5, 19).replace("T", " ");

/** 2026-11-22 */
export const formatDay = (ms) => shifted(ms).slice(0, 10);
