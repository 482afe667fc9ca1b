/** Creates and changes elements. Text is only ever set as text: nothing that a model writes becomes markup. */

/** An element. `properties` are set as properties, `class`, `data-*`, `aria-*` and SVG's as attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/**
 * Elements of index.html with properties that others do not have.
 * @typedef {{
 *   "sign-in": HTMLDialogElement, token: HTMLTextAreaElement, confirm: HTMLDialogElement, filter: HTMLInputElement,
 *   content: HTMLTextAreaElement, agent: HTMLSelectElement, model: HTMLInputElement, busy: HTMLSelectElement,
 *   send: HTMLButtonElement, stop: HTMLButtonElement,
 * }} Elements
 */

/**
 * Returns the element of the page with this id.
 * @template {string} Id
 * @param {Id} id
 * @returns {Id extends keyof Elements ? Elements[Id] : HTMLElement}
 */
export const byId = (id) => /** @type {any} */ (document.getElementById(id));

/** Sets a property only if it changes, so that nothing is laid out again for the same value. */
export function set(element, name, value) {
  if (element[name] !== value) element[name] = value;
}

/** Makes `parent` have exactly these children, in this order, and leaves those alone that are there. */
export function place(parent, children) {
  children.forEach((child, index) => {
    if (parent.childNodes[index] !== child) parent.insertBefore(child, parent.childNodes[index] ?? null);
  });
  while (parent.childNodes.length > children.length) parent.lastChild.remove();
}

/**
 * Calls `onChange` at each scroll with whether the end is in view, up to `near` pixels.
 *
 * Only somebody who scrolls up leaves the end: it also moves away when the element or its content changes its size.
 */
export function trackEnd(element, near, onChange) {
  let isAtEnd = true;
  let lastTop = 0;
  const onScroll = () => {
    const { scrollTop, clientHeight, scrollHeight } = element;
    isAtEnd = scrollTop + clientHeight > scrollHeight - near || (isAtEnd && scrollTop >= lastTop);
    lastTop = scrollTop;
    onChange(isAtEnd);
  };
  element.addEventListener("scroll", onScroll, { passive: true });
}

/** Calls `draw` before the next frame, once for any number of calls. */
export function oncePerFrame(draw) {
  let isWaiting = false;
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      draw();
    });
  };
}

/** JSON for people; text that is no JSON as it is. */
export function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2) ?? "";
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

export const number = (value) => new Intl.NumberFormat("en").format(value);
export const duration = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);
