import fc from 'fast-check';
import { runs } from './runs.js';

fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns: runs(100) });
