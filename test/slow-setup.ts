import { jest } from '@jest/globals';

// Jest 30 heeds `testTimeout` of the whole run only, not of one project.
jest.setTimeout(60_000);
