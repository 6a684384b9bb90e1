// What a person reads for the two names that endpoints have which are none (docs/endpoints.md). Pure.

const WORDS = {
  __proto__: null, // looked up by names from outside
  "{unknown}": "unknown paths",
  "{other}": "others",
};

/** The name of an endpoint, in words where it stands for many. */
export const endpointText = (name) => WORDS[name] ?? name;

/** What such a name means, for a title; any other is its own. */
export const endpointTitle = (name) =>
  name?.endsWith("{unknown}")
    ? `${name}: paths that were only refused, redirected or not answered, never served`
    : name;
