// What differs between two lists of messages, and between two texts: what both have in common stays, in order. Pure.
//
// The longest common subsequence (Hunt and McIlroy 1976) of what lies between a common beginning and end; where that
// would be too many pairs, nothing between is common.

const MAX_PAIRS = 250_000;
const LEAST_COMMON = 0.3; // of the shorter text; with less it is another text, and no change of it
const TOKEN = /\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu;

/** Pairs [a, b] of two lists in order, undefined where one has none; `keyOf` says what is the same. */
export function pairsOf(listA, listB, keyOf = (item) => item) {
  const [a, b] = [listA.map(keyOf), listB.map(keyOf)];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  const least = Math.min(a.length, b.length) - start;
  while (end < least && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const pairs = [];
  let [atA, atB] = [0, 0];
  const take = (untilA, untilB) => {
    while (atA < untilA) pairs.push([listA[atA++], undefined]);
    while (atB < untilB) pairs.push([undefined, listB[atB++]]);
  };
  const common = commonOf(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const whole = [
    ...Array.from({ length: start }, (_, at) => [at, at]),
    ...common.map(([one, other]) => [one + start, other + start]),
    ...Array.from({ length: end }, (_, at) => [a.length - end + at, b.length - end + at]),
  ];
  for (const [one, other] of whole) {
    take(one, other);
    pairs.push([listA[atA++], listB[atB++]]);
  }
  take(a.length, b.length);
  return pairs;
}

/** Places [a, b] of what two lists have in common, as much as can be. */
function commonOf(a, b) {
  if (a.length * b.length > MAX_PAIRS) return [];
  const width = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * width); // of what is common behind a place in each
  for (let one = a.length - 1; one >= 0; one -= 1)
    for (let other = b.length - 1; other >= 0; other -= 1)
      lengths[one * width + other] =
        a[one] === b[other]
          ? lengths[(one + 1) * width + other + 1] + 1
          : Math.max(lengths[(one + 1) * width + other], lengths[one * width + other + 1]);
  const common = [];
  let [one, other] = [0, 0];
  while (one < a.length && other < b.length) {
    if (a[one] === b[other]) common.push([one++, other++]);
    else if (lengths[(one + 1) * width + other] >= lengths[one * width + other + 1]) one += 1;
    else other += 1;
  }
  return common;
}

/** How a text became another: [{change: same|removed|added, text}], word by word. */
export function wordsChanged(a, b) {
  const pieces = [];
  const add = (change, text) => {
    if (pieces.at(-1)?.change === change) pieces.at(-1).text += text;
    else pieces.push({ change, text });
  };
  for (const [one, other] of pairsOf(a.match(TOKEN) ?? [], b.match(TOKEN) ?? [])) {
    if (one === other) add("same", one);
    else if (one === undefined) add("added", other);
    else add("removed", one);
  }
  const common = pieces.filter(({ change }) => change === "same");
  const length = common.reduce((sum, { text }) => sum + text.trim().length, 0);
  if (length >= LEAST_COMMON * Math.min(a.length, b.length)) return pieces;
  return [
    { change: "removed", text: a },
    { change: "added", text: b },
  ];
}

/** Messages between those in common stand beside each other where their roles do. */
export function sideBySide(pairs) {
  const rows = [];
  let [left, right] = [[], []];
  const flush = () => {
    rows.push(...pairsOf(left, right, ({ role }) => role));
    [left, right] = [[], []];
  };
  for (const [a, b] of pairs) {
    if (a !== undefined && b !== undefined) {
      flush();
      rows.push([a, b]);
    } else if (b === undefined) left.push(a);
    else right.push(b);
  }
  flush();
  return rows;
}
