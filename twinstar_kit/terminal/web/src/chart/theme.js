// Colours of the chart in one place; the page's style sheet uses the same values.

export const THEME = {
  background: "#0f1318",
  text: "#8b95a3",
  grid: "#181e26",
  border: "#232a34",
  crosshair: "#5d6877",
  crosshairLabel: "#2b3440",
  up: "#2ebd85",
  down: "#f6465d",
  upVolume: "rgba(46, 189, 133, 0.32)",
  downVolume: "rgba(246, 70, 93, 0.32)",
  accent: "#f0b90b",
  position: "#5b9cf6",
  font: "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif",
};
