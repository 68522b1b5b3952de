/** The package as it is built. This folder is a package of its own, so it cannot import `varve` by name. */
export * from '../dist/index.js';
