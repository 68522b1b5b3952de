/** The package as it is built. This folder is a package of its own, so it cannot import `varve` by name. */
export * from '../dist/adapter/xstate/index.js';
export * from '../dist/index.js';
