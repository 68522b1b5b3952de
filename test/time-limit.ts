import { jest } from '@jest/globals';

// Only against hanging: on a busy machine a test may wait long for its turn. (Jest 30 heeds `testTimeout` on the command
// line, not among the settings of a project.)
jest.setTimeout(Number(process.env.VARVE_TEST_LIMIT_MS || 60_000));
