import fc from 'fast-check';
import { runs } from './runs.js';

// What a failing property prints replays it: VARVE_TEST_SEED=… VARVE_TEST_PATH=… npm test -- -t '<its name>'
const { VARVE_TEST_SEED: seed, VARVE_TEST_PATH: path } = process.env;
const replay = { ...(seed && { seed: Number(seed) }), ...(path && { path }) };

fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns: runs(100), ...replay });
