import { scanning } from '../scans.js';

export const group = scanning('backward');
