// The little that is needed to build and update elements by hand.

/** An element; attributes beginning with "on" are listeners, `style` may be an object, nullish ones are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style" && typeof value === "object") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Write text only when it differs: a write that changes nothing still costs layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set or remove a class name among exclusive ones. */
export function setMood(element, value, names = ["up", "down"]) {
  const wanted = value > 0 ? names[0] : value < 0 ? names[1] : "";
  for (const name of names) element.classList.toggle(name, name === wanted);
}

/** The element with this id; a page without it is a bug that should show at once. */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}
