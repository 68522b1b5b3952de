/**
 * A page about a state machine, made from its definition: a Mermaid state diagram and a table of its states.
 *
 * A pure function, so that the script that writes docs/ and the test that watches over them cannot disagree. It reads
 * the tree of states and nothing else of xstate. What a state means cannot be read off the machine; the caller tells it
 * in one sentence a state, and a state without a sentence, or a sentence without a state, is an error.
 */

/**
 * What is used of an XState state node.
 *
 * @typedef {{
 *   key: string,
 *   path: string[],
 *   type: string,
 *   entry: readonly unknown[],
 *   exit: readonly unknown[],
 *   always?: readonly Transition[] | undefined,
 *   initial?: { target: readonly StateNode[] } | undefined,
 *   states: Record<string, StateNode>,
 *   transitions: Map<string, Transition[]>,
 *   parent?: StateNode | undefined,
 * }} StateNode
 *
 * @typedef {{ target?: readonly StateNode[] | undefined, guard?: unknown, actions: readonly unknown[] }} Transition
 *
 * @typedef {{ title: string, source: string, introduction: string, meanings: Record<string, string> }} Page
 */

const NOTATION = [
  'An arrow is labelled `EVENT [guard] / actions`; of several arrows for one event, the first whose guard holds is taken,',
  'and `[else]` is the last. A line inside a state is an event that is heard there without leaving it.',
].join('\n');

/**
 * @param {{ root: StateNode }} machine
 * @param {Page} page
 * @returns {string} Markdown
 */
export function diagramOf(machine, { title, source, introduction, meanings }) {
  return [
    `# ${title}`,
    '',
    `Generated from \`${source}\` by \`npm run diagram\`; do not edit.`,
    '',
    introduction,
    '',
    NOTATION,
    '',
    '```mermaid',
    'stateDiagram-v2',
    ...body(machine.root, '  '),
    '```',
    '',
    '| state | what it means | orders on entry |',
    '|---|---|---|',
    ...rows(machine.root, meanings),
    '',
  ].join('\n');
}

/**
 * The states below `node`, and all the transitions that leave them or it.
 *
 * @param {StateNode} node
 * @param {string} indent
 * @returns {string[]}
 */
function body(node, indent) {
  if (node.type === 'parallel') {
    // Mermaid draws concurrency only inside a composite state.
    const regions = children(node).map((region) => composite(region, `${indent}  `));
    const apart = regions.flatMap((lines, at) => (at === 0 ? lines : [`${indent}  --`, ...lines]));
    return [`${indent}state "${name(node)}" as ${id(node)} {`, ...apart, `${indent}}`, ...arrows(node, indent)];
  }
  const lines = [`${indent}[*] --> ${id(/** @type {StateNode} */ (node.initial?.target[0]))}`];
  for (const child of children(node)) {
    if (children(child).length > 0) lines.push(...composite(child, indent));
    else lines.push(`${indent}state "${child.key}" as ${id(child)}`);
  }
  for (const child of children(node)) {
    lines.push(...arrows(child, indent));
    if (child.type === 'final') lines.push(`${indent}${id(child)} --> [*]`);
  }
  if (node.parent === undefined) lines.push(...arrows(node, indent));
  return lines;
}

/**
 * @param {StateNode} node
 * @param {string} indent
 */
function composite(node, indent) {
  return [`${indent}state "${node.key}" as ${id(node)} {`, ...body(node, `${indent}  `), `${indent}}`];
}

/**
 * @param {StateNode} node
 * @param {string} indent
 */
function arrows(node, indent) {
  const lines = [];
  for (const [event, transitions] of allTransitions(node)) {
    for (const [at, transition] of transitions.entries()) {
      const label = labelOf(event, transition, at > 0);
      const to = transition.target?.[0];
      if (to !== undefined && node.parent === undefined) {
        // A transition of the machine itself leaves every one of its states.
        for (const child of children(node)) {
          if (child !== to) lines.push(`${indent}${id(child)} --> ${id(to)} : ${label}`);
        }
      } else if (to !== undefined) {
        lines.push(`${indent}${id(node)} --> ${id(to)} : ${label}`);
      } else {
        lines.push(`${indent}${id(node)} : ${label}`);
      }
    }
  }
  return lines;
}

/**
 * @param {StateNode} node
 * @returns {[string, readonly Transition[]][]}
 */
export function allTransitions(node) {
  const always = node.always ?? [];
  return [
    ...node.transitions,
    ...(always.length > 0 ? [/** @type {[string, readonly Transition[]]} */ (['', always])] : []),
  ];
}

/**
 * @param {string} event
 * @param {Transition} transition
 * @param {boolean} isAlternative
 */
function labelOf(event, { guard, actions }, isAlternative) {
  const after = /^xstate\.after\.([^.]+)\./.exec(event);
  const parts = [after === null ? event : `after ${after[1]}`];
  if (guard !== undefined) parts.push(`[${nameOf(guard)}]`);
  else if (isAlternative) parts.push('[else]');
  if (actions.length > 0) parts.push(`/ ${actions.map(nameOf).join(', ')}`);
  return parts.filter((part) => part !== '').join(' ');
}

/**
 * @param {StateNode} node
 * @param {Record<string, string>} meanings
 */
function rows(node, meanings) {
  const left = new Set(Object.keys(meanings));
  const lines = [];
  for (const state of descendants(node)) {
    const path = state.path.join('.');
    const meaning = meanings[path];
    if (meaning === undefined) throw new Error(`The state '${path}' has no sentence that says what it means.`);
    left.delete(path);
    // What xstate adds to an entry itself (the timer of a delayed transition) is no order.
    const orders = state.entry.filter((action) => typeof action !== 'function').map(ordersOf);
    lines.push(`| \`${path}\` | ${meaning} | ${orders.map((order) => `\`${order}\``).join(', ')} |`);
  }
  if (left.size > 0) throw new Error(`There is no state '${[...left].join("', '")}', but a sentence about it.`);
  return lines;
}

/** @param {unknown} action */
function ordersOf(action) {
  const { params } = /** @type {{ params?: unknown }} */ (action);
  const shown = typeof params === 'object' && params !== null ? Object.values(params).join(', ') : '';
  return shown === '' ? nameOf(action) : `${nameOf(action)}(${shown})`;
}

/** @param {unknown} action a guard or an action, by name or with parameters */
function nameOf(action) {
  if (typeof action === 'string') return action;
  const { type } = /** @type {{ type?: unknown }} */ (action);
  if (typeof type !== 'string') throw new Error('A guard or an action has no name.');
  return type;
}

/** @param {StateNode} node */
function children(node) {
  return Object.values(node.states);
}

/**
 * All states below `node`, each before its own.
 *
 * @param {StateNode} node
 * @returns {StateNode[]}
 */
export function descendants(node) {
  return children(node).flatMap((child) => [child, ...descendants(child)]);
}

/** @param {StateNode} node */
function name(node) {
  return node.path.length === 0 ? node.key : node.path.join('.');
}

/** @param {StateNode} node */
function id(node) {
  return name(node).replaceAll('.', '_');
}
