/**
 * Why Varve is behind in some rows, or misses a target: by group, in Markdown. Shown below the table of a group in which
 * there is such a row, so that a figure that has become better takes its explanation with it.
 */

/** @type {Readonly<Record<string, readonly string[]>>} */
export const EXPLANATIONS = {};
