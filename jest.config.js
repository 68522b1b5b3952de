/**
 * Three projects over the TypeScript sources as ES modules: `unit` (fast, no child processes), `property` (fast-check)
 * and `integration` (real files, child processes, the compiled worker). Choose with `--selectProjects unit`.
 *
 * @param {string} name
 * @param {string[]} [setupFilesAfterEnv]
 */
const project = (name, setupFilesAfterEnv = []) => ({
  displayName: name,
  testEnvironment: 'node',
  testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
  setupFilesAfterEnv: ['<rootDir>/test/time-limit.ts', ...setupFilesAfterEnv],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: {
    '^varve$': '<rootDir>/src/index.ts',
    '^varve/testing$': '<rootDir>/src/testing/index.ts',
    '^varve/(.+)$': '<rootDir>/src/adapter/$1/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
});

export default {
  projects: [project('unit'), project('property', ['<rootDir>/test/property-setup.ts']), project('integration')],
  reporters: ['default', '<rootDir>/test/reporter.js'],
  maxWorkers: '100%',
  // Modules under --experimental-vm-modules are never freed while a worker lives.
  workerIdleMemoryLimit: '1GB',
};
