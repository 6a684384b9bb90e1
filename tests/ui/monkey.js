// A visitor without a plan: keys, pointers, words and clicks on what is shown, from the first moment on, while answers
// come late. What cannot be undone is left alone.

(() => {
  let state = SEED;
  const random = () => (state = (state * 1664525 + 1013904223) >>> 0) / 2 ** 32;
  const pick = (list) => list[Math.floor(random() * list.length)];
  const soon = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  const PAUSE_MS = 4;
  const LATEST_MS = 250;
  const KEYS = [
    ..."abcdefghijklnopqrstuvwxyz/?12345[] ",
    ...["Arrow", "Page"].flatMap((kind) => [`${kind}Up`, `${kind}Down`]),
    ...["ArrowLeft", "ArrowRight", "Enter", "Escape", "Home", "End", "Backspace", "Delete", "Tab"],
  ];
  const POINTERS = "pointermove pointerdown pointerup pointerleave pointercancel mouseover dblclick wheel contextmenu";
  const WORDS = ["", "x", "level:error", '"', "(", "status:5xx OR", "2026-01-01", "-1", "999999999999", "é"];
  const WANTED = "button, a, input, select, summary, textarea, tr, .chart, [tabindex]";

  const mayNot = (target) =>
    target.closest("#logout, [download], [target]") ||
    /delete|revoke|rotate|erase|log out/i.test(target.closest("button, a")?.textContent ?? "");

  function target() {
    const within = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
    const shown = [...within.querySelectorAll(random() < 0.6 ? WANTED : "*")].filter((each) => each.checkVisibility());
    return pick(shown) ?? within;
  }

  function press(on) {
    if (random() < 0.3) on.focus();
    const options = { key: pick(KEYS), shiftKey: random() < 0.2, bubbles: true, cancelable: true };
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", options));
  }

  function point(at) {
    const place = { clientX: random() * innerWidth, clientY: random() * innerHeight, bubbles: true, cancelable: true };
    const kind = pick(["mouse", "touch"]);
    at.dispatchEvent(new PointerEvent(pick(POINTERS.split(" ")), { pointerType: kind, ...place }));
  }

  function type(into) {
    if (!into.matches("input, textarea, select")) return;
    into.value = pick(WORDS);
    for (const kind of ["input", "change"]) into.dispatchEvent(new Event(kind, { bubbles: true }));
  }

  function click(on) {
    const path = on.closest("a[href]")?.pathname;
    if (!path || !/^\/(api|v1|metrics|docs)/.test(path)) on.click?.();
  }

  const late = window.fetch;
  window.fetch = async (...asked) => {
    await soon(random() * LATEST_MS);
    return late(...asked);
  };

  addEventListener("DOMContentLoaded", async () => {
    while (!window.hasToRest) {
      const some = target();
      if (!mayNot(some)) pick([press, press, press, press, point, point, point, type, click])(some);
      await soon(random() * PAUSE_MS);
    }
  });
})();
