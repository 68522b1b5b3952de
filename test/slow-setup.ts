import { jest } from '@jest/globals';

// Jest 30 heeds `testTimeout` of the whole run only, not of one project.
jest.setTimeout(Number(process.env.VARVE_TEST_LIMIT_MS || 60_000));
