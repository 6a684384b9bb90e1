// In which time zone times are shown and typed: the browser's, or UTC, as a person chose; the head says which.

const KEY = "zone";

const isUtc = () => localStorage.getItem(KEY) === "utc";

/** The parts of a time in the zone that is shown. */
export function partsOf(time) {
  const shown = isUtc() ? time : new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
  return {
    year: shown.getUTCFullYear(),
    month: shown.getUTCMonth(),
    day: shown.getUTCDate(),
    hours: shown.getUTCHours(),
    minutes: shown.getUTCMinutes(),
    seconds: shown.getUTCSeconds(),
    ms: shown.getUTCMilliseconds(),
    iso: shown.toISOString().slice(0, 19),
  };
}

/** Milliseconds of what was typed into a field of date and time; NaN when it is none. */
export const parseTyped = (text) => Date.parse(isUtc() && text ? text + "Z" : text);

/** `UTC`, `UTC+2` or `UTC−3:30`: the zone that is shown, at some moment. */
export function zoneName(time = new Date()) {
  const minutes = isUtc() ? 0 : -time.getTimezoneOffset();
  if (!minutes) return "UTC";
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? "−" : "+"}${hours}${rest ? `:${String(rest).padStart(2, "0")}` : ""}`;
}

/** Make a button show the zone and change it; every time on the page is then written anew. */
export function zoneButton(button) {
  const other = isUtc() ? "the browser’s time zone" : "UTC";
  button.textContent = zoneName();
  button.title = `Times are ${isUtc() ? "UTC" : `${zoneName()}, as in this browser`}. Show ${other}.`;
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, isUtc() ? "local" : "utc");
    location.reload();
  });
}
